"""Several ranks on one machine, for all tests of what they do together."""

import multiprocessing
import os
import traceback
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from parsec.runtime.distributed import Ranks

FORK = multiprocessing.get_context("fork")


def _run(function, rank, count, folder):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=count, timeout=timedelta(seconds=60)
    )
    try:
        torch.save(function(Ranks(rank, count, rank, count)), folder / f"{rank}.pt")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@pytest.fixture
def on_ranks(tmp_path_factory):
    """A function count, function → what `function(ranks)` returned on each rank, None for ranks that died."""

    def run(count, function):
        folder = tmp_path_factory.mktemp("ranks")
        processes = [FORK.Process(target=_run, args=(function, rank, count, folder)) for rank in range(count)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
            process.kill()
        files = [folder / f"{rank}.pt" for rank in range(count)]
        return [torch.load(file, weights_only=False) if file.exists() else None for file in files]

    return run
