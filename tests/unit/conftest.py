"""Several ranks on one machine, and architectures of the DARTS space."""

import multiprocessing
import os
import random
import traceback
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist

from parsec.runtime.distributed import Ranks
from parsec.space.darts import NODES, PRIMITIVES, SLOTS, Genotype, genotype

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


@pytest.fixture
def random_genotype():
    """A function seed → a random architecture of the space, inputs possibly equal."""

    def cell(rng: random.Random) -> list[tuple[str, int]]:
        return [(rng.choice(PRIMITIVES), rng.randrange(node + 2)) for node in range(NODES) for _ in range(SLOTS)]

    def draw(seed: int) -> Genotype:
        rng = random.Random(seed)
        return genotype(cell(rng), cell(rng))

    return draw


@pytest.fixture
def uniform_genotype():
    """A function primitive → the architecture that uses it on every edge; every input of a node is used somewhere."""

    def draw(primitive: str) -> Genotype:
        cell = [(primitive, source) for node in range(NODES) for source in (node, node + 1)]
        return genotype(cell, cell)

    return draw
