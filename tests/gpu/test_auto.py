"""Executor `auto` on a GPU: the fused one, once it agreed with `sequential`; evaluation without waiting; resuming."""

import contextlib

import pytest
import torch

from parsec.bench.carry import stopping_when
from parsec.config.base import Compute, Running
from parsec.config.search import SearchJob, SearchStage
from parsec.config.training import Augmentation, Network
from parsec.network.supernet import Supernet
from parsec.prior.distribution import Prior
from parsec.search.executors.build import build_executor
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.self_test import self_test
from parsec.search.run import search

pytestmark = pytest.mark.usefixtures("deterministic")
pytest.importorskip("triton")
CUDA = torch.device("cuda")
NETWORK = Network(cells=3, channels=16)
EVERY_STEP = Running(checkpoint_seconds=0)


@pytest.fixture
def supernet():
    return Supernet(NETWORK, 10, torch.Generator().manual_seed(0), device=CUDA)


def test_fused_agrees_and_is_taken(supernet):
    assert self_test(CUDA) is None
    executor = build_executor(supernet, Compute(device="cuda"), 64, 32)
    assert isinstance(executor, CUDAGraphRunner)
    assert executor.fused.in_flight >= 16, "all architectures of the paper's step fit into the memory that is free"


def test_evaluation_is_replayed_without_waiting(supernet):
    fused, prior = FusedExecutor(supernet, contextlib.nullcontext), Prior()
    runner = CUDAGraphRunner(fused)
    children = prior.children(prior.sample(3, torch.Generator().manual_seed(0))).genotypes
    images = torch.randn(16, 3, 32, 32, device=CUDA).contiguous(memory_format=torch.channels_last)
    expected = [fused.logits(child, images) for child in children]
    runner.logits(children[0], images)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        logits = [runner.logits(child, images) for child in children]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert all(map(torch.equal, logits, expected))


def test_stopped_search_ends_with_equal_bytes(digits, tmp_path):
    stage = SearchStage(dataset="digits", network=NETWORK, epochs=6, augmentation=Augmentation(padding=1))
    compute = Compute(device="cuda")
    job = SearchJob(stage="search", space="darts", method="parsec", settings=stage, compute=compute)

    def run(name):
        search(job, digits, 0, tmp_path / name, tmp_path / f"{name}-state", None, EVERY_STEP)

    run("whole")
    assert stopping_when(lambda: any((tmp_path / "stopped-state").glob("step-*.pt")), lambda: run("stopped"))
    run("stopped")
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "stopped" / name).read_bytes()
