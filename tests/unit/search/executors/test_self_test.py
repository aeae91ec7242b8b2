"""What `auto` does on CUDA: the fused executor if it agrees with the sequential one, else why not."""

import contextlib
import logging

import pytest
import torch

from parsec.config.base import Compute
from parsec.network.kernels import reference
from parsec.network.supernet import Supernet
from parsec.runtime.distributed import Ranks
from parsec.search.executors import build, self_test
from parsec.search.executors.build import build_executor
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.sequential import SequentialExecutor

CPU = torch.device("cpu")
NETWORK = self_test.NETWORK


@pytest.fixture
def card(monkeypatch, tmp_path):
    """A CPU that passes for a card with 20 GiB free; returns the folder of the user's device locks."""
    folder = tmp_path / f"parsec-devices-{self_test.os.getuid()}"
    folder.mkdir()
    monkeypatch.setattr(self_test.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    self_test._tested.cache_clear()
    yield folder
    self_test._tested.cache_clear()


def test_executors_agree():
    assert self_test.self_test(CPU) is None


def test_wrong_kernel_is_found(monkeypatch):
    join = reference.join

    def halved(node, edges, states, z, statistics, maps):
        join(node, edges, states, z, statistics, maps)
        states.mul_(0.999)

    monkeypatch.setattr(reference, "join", halved)
    assert "it differs from executor sequential in torch.float32" in self_test.self_test(CPU)


def test_error_is_the_reason(monkeypatch):
    def broken(*args):
        raise RuntimeError("no such instruction\nand a dump")

    monkeypatch.setattr(reference, "separable", broken)
    assert self_test.self_test(CPU) == "its test fails (no such instruction)"


def test_agreement_is_remembered_and_failure_is_not(monkeypatch, card):
    results, asked = ["differs", None], []
    monkeypatch.setattr(self_test, "self_test", lambda device: asked.append(device) or results[len(asked) - 1])
    assert self_test.fused_problem(CPU) == "differs"
    self_test._tested.cache_clear()
    assert self_test.fused_problem(CPU) is None
    self_test._tested.cache_clear()
    assert self_test.fused_problem(CPU) is None
    assert len(asked) == 2
    [remembered] = card.iterdir()
    assert remembered.name.startswith("fused-")


class OnCUDA:
    """Shared weights that say they are on CUDA."""

    def __init__(self, shared):
        self._shared = shared
        self.flat = type("Flat", (), {"device": torch.device("cuda")})()

    def __getattr__(self, name):
        return getattr(self._shared, name)


class OtherRankRefuses(Ranks):
    """One process that hears from another that it cannot run the fused executor."""

    def all_reduce_max(self, *values):
        return (1,)


@pytest.mark.parametrize(
    ("problem", "ranks", "said"),
    [(None, Ranks(), None), ("it differs", Ranks(), "it differs"), (None, OtherRankRefuses(), "another rank does")],
)
def test_auto_takes_fused_if_it_agrees(monkeypatch, caplog, problem, ranks, said):
    supernet = Supernet(NETWORK, 10, torch.Generator().manual_seed(0))
    supernet.weights = OnCUDA(supernet.weights)
    monkeypatch.setattr(build, "autocast", lambda device, precision: contextlib.nullcontext())
    monkeypatch.setattr(build, "fused_problem", lambda device: problem)
    monkeypatch.setattr(build, "FusedExecutor", lambda net, context, in_flight, skip: in_flight)
    monkeypatch.setattr(build, "CUDAGraphRunner", lambda in_flight: ("fused", in_flight))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (20 * 2**30, 24 * 2**30))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    with caplog.at_level(logging.WARNING, "parsec"):
        executor = build_executor(supernet, Compute(), 64, 32, ranks)
    if said is None:
        each = build._fused_bytes(supernet, contextlib.nullcontext, 64, 32)
        assert executor == ("fused", 16 * 2**30 // each), "of 20 GiB less a tenth, the power of two below"
    else:
        assert not isinstance(executor, tuple | CUDAGraphRunner)
        assert f"auto does without executor fused here: {said}" in caplog.text


def test_auto_without_memory_is_not_fused(monkeypatch, caplog):
    supernet = Supernet(NETWORK, 10, torch.Generator().manual_seed(0))
    supernet.weights = OnCUDA(supernet.weights)
    monkeypatch.setattr(build, "autocast", lambda device, precision: contextlib.nullcontext())
    assert isinstance(build_executor(supernet, Compute(memory_gib=1e-6), 64, 32), SequentialExecutor)
    assert "memory does not hold" in caplog.text
