"""Executor `fused` against executor `sequential`, in float64 with the plain twins of the kernels."""

import contextlib
import sys
import weakref
from functools import partial

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from parsec.config.base import Compute
from parsec.config.training import Network
from parsec.errors import UserError
from parsec.network import kernels
from parsec.network.cell_network import TABLE_MAPS, child_bytes
from parsec.network.kernels import interface, reference
from parsec.network.kernels.interface import operations
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.build import build_executor
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.sequential import SequentialExecutor
from parsec.space.darts import NODES, PRIMITIVES, genotype

CLASSES = 5


def executors(network, in_flight=None, dtype=torch.float64, autocast=contextlib.nullcontext):
    supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0), dtype=dtype)
    return SequentialExecutor(supernet, autocast), FusedExecutor(supernet, autocast, in_flight)


def batch(height, width, count=3, dtype=torch.float64):
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, height, width, generator=rng, dtype=torch.float64).to(dtype)
    return images, torch.randint(CLASSES, (count,), generator=rng)


def assert_equal(sequential, fused, children, images, labels, temperature):
    """The same log-likelihoods, logits, loss, effective sample size, and gradient of every weight."""
    expected = sequential.log_likelihoods(children, images, labels)
    torch.testing.assert_close(fused.log_likelihoods(children, images, labels), expected, rtol=1e-10, atol=0)
    logits = sequential.logits(children.genotypes[-1], images).detach()
    torch.testing.assert_close(fused.logits(children.genotypes[-1], images), logits, rtol=1e-10, atol=1e-12)
    seen = weighted_backward(sequential, children, images, labels, temperature)
    gradient = sequential.supernet.weights.gradient.clone()
    sequential.supernet.weights.gradient.fill_(99.0)
    result = weighted_backward(fused, children, images, labels, temperature)
    torch.testing.assert_close(result, seen, rtol=1e-10, atol=0)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(fused.supernet.weights.gradient, gradient, rtol=1e-9, atol=1e-12 * scale)
    assert torch.equal(fused.supernet.weights.gradient == 0, gradient == 0), "weights that no child uses stay untouched"


@pytest.mark.parametrize("in_flight", [1, 3, None])
@pytest.mark.parametrize(
    ("stem", "sides", "cells"), [("cifar", (8, 8), 3), ("cifar", (7, 5), 4), ("imagenet", (33, 36), 3)]
)
def test_fused_equals_sequential(random_genotype, in_flight, stem, sides, cells):
    sequential, fused = executors(Network(cells=cells, channels=4, stem=stem), in_flight)
    children = ArchitectureBatch.of([random_genotype(seed) for seed in range(5)])
    assert_equal(sequential, fused, children, *batch(*sides), temperature=3.0)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_operations_sharing_an_edge(primitive, uniform_genotype):
    """Both slots of a node with one primitive and one input share their weights, whose gradients add up."""
    cell = [(primitive, source) for node in range(NODES) for source in (node + 1, node + 1)]
    mixed = [(primitive, 0), (primitive, 0)] * NODES
    children = ArchitectureBatch.of([uniform_genotype(primitive), genotype(cell, mixed), genotype(mixed, cell)])
    sequential, fused = executors(Network(cells=3, channels=4))
    assert_equal(sequential, fused, children, *batch(6, 6), temperature=1.0)


def test_runner_without_cuda_runs_directly(random_genotype):
    sequential, fused = executors(Network(cells=3, channels=4), 2)
    children = ArchitectureBatch.of([random_genotype(seed) for seed in range(3)])
    assert_equal(sequential, CUDAGraphRunner(fused), children, *batch(8, 8), temperature=2.0)


def test_activations_follow_stem_dtype(random_genotype):
    """The same children in bfloat16, to its rounding, with float64 likelihoods and a float32 gradient."""
    bfloat16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    sequential, fused = executors(Network(cells=3, channels=4), dtype=torch.float32, autocast=bfloat16)
    children, (images, labels) = ArchitectureBatch.of([random_genotype(0)]), batch(8, 8, 16, torch.float32)
    log_likelihoods = fused.log_likelihoods(children, images, labels)
    assert log_likelihoods.dtype == torch.float64
    torch.testing.assert_close(log_likelihoods, sequential.log_likelihoods(children, images, labels), rtol=0.03, atol=0)
    weighted_backward(sequential, children, images, labels)
    expected = sequential.supernet.weights.gradient.clone()
    weighted_backward(fused, children, images, labels)
    assert torch.cosine_similarity(fused.supernet.weights.gradient, expected, dim=0) > 0.95
    fused.autocast = contextlib.nullcontext
    assert not torch.equal(fused.log_likelihoods(children, images, labels), log_likelihoods), (
        "activations were bfloat16"
    )


def test_memory_sets_fused_in_flight():
    network = Network(cells=3, channels=4)
    supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0))
    budget = 3.5 * child_bytes(network, 16, 8, maps=TABLE_MAPS) / 2**30
    executor = build_executor(supernet, Compute(executor="fused", memory_gib=budget), 16, 8)
    assert isinstance(executor, CUDAGraphRunner)
    assert executor.fused.in_flight == 3
    assert build_executor(supernet, Compute(executor="fused", samples_in_flight=2), 16, 8).fused.in_flight == 2


@pytest.mark.parametrize(
    ("network", "children", "in_flight"),
    [
        (Network(cells=8, channels=16), 16, 16),
        (Network(cells=8, channels=16), 4, 2),
        (Network(cells=20, channels=36), 4, 4),
        (Network(cells=20, channels=36), 1, 1),
    ],
)
def test_memory_bound_holds_what_is_allocated(monkeypatch, network, children, in_flight):
    """Of the kernels' step at the paper's sizes, whose tensors have shapes and no numbers here."""
    jit = pytest.importorskip("triton.runtime.jit")
    from parsec.network.kernels import fused

    monkeypatch.setattr(jit.JITFunction, "run", lambda self, *args, **named: None)
    bfloat16 = partial(torch.autocast, "cpu", dtype=torch.bfloat16)
    with FakeTensorMode(allow_non_fake_inputs=True):
        supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0))
        executor = FusedExecutor(supernet, bfloat16, in_flight, launches=fused)
        batch = ArchitectureBatch(torch.zeros(children, 2, 4, 2, 2, dtype=torch.int64))
        images = torch.randn(64, 3, 32, 32).contiguous(memory_format=torch.channels_last)
        with Allocations() as allocations:
            weighted_backward(executor, batch, images, torch.zeros(64, dtype=torch.int64))
    weights = 2 * supernet.weights.flat.numel() * 4  # the kernels' copy, and parts of their gradients
    bound = in_flight * child_bytes(network, 64, 32, 2, TABLE_MAPS)
    assert allocations.peak - weights <= bound < 1.5 * allocations.peak


class Allocations(TorchDispatchMode):
    """Largest sum of the bytes of all storages alive."""

    def __init__(self):
        super().__init__()
        self.alive, self.peak = {}, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage._cdata not in self.alive:
                    self.alive[storage._cdata] = storage.nbytes()
                    weakref.finalize(storage, self.alive.pop, storage._cdata)
        self.peak = max(self.peak, sum(self.alive.values()))
        return result


@pytest.mark.parametrize(
    ("compiler", "header", "expected"),
    [
        (None, True, "there is neither gcc nor clang"),
        ("/nowhere/cc", True, "CC names /nowhere/cc"),
        ("true -m64", False, "Python.h is missing"),
    ],
)
def test_gpu_without_compiler_fails(monkeypatch, tmp_path, compiler, header, expected):
    pytest.importorskip("triton")
    monkeypatch.delenv("CC", raising=False)
    if compiler is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        monkeypatch.setenv("CC", compiler)
    if header:
        (tmp_path / "Python.h").touch()
    monkeypatch.setattr(interface.sysconfig, "get_paths", lambda scheme: {"include": str(tmp_path)})
    with pytest.raises(UserError, match=expected):
        operations(torch.device("cuda"))


def test_gpu_without_triton_fails(monkeypatch):
    monkeypatch.delattr(kernels, "fused", raising=False)
    monkeypatch.setitem(sys.modules, "parsec.network.kernels.fused", None)
    with pytest.raises(UserError, match="install triton, or choose executor grouped"):
        operations(torch.device("cuda"))


def test_negligible_architectures_skip_backward(random_genotype, monkeypatch):
    """At a low temperature one child weighs all; the others then go no way back, and the gradient is the same."""
    sequential, fused = executors(Network(cells=3, channels=4))
    children, (images, labels) = ArchitectureBatch.of([random_genotype(seed) for seed in range(4)]), batch(8, 8)
    fused.skip_negligible = True
    assert_equal(sequential, fused, children, images, labels, temperature=10.0)
    expected = weighted_backward(sequential, children, images, labels, 1e-3)
    gradient = sequential.supernet.weights.gradient.clone()
    live, pool_back = [], reference.pool_back
    monkeypatch.setattr(reference, "pool_back", lambda edges, *rest: (live.append(edges), pool_back(edges, *rest)))
    result = weighted_backward(fused, children, images, labels, 1e-3)
    assert {int((edges[:, 0] >= 0).sum()) for edges in live} == {2}, "two edges a node, those of one child"
    torch.testing.assert_close(result, expected, rtol=1e-10, atol=0)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(fused.supernet.weights.gradient, gradient, rtol=1e-9, atol=1e-12 * scale)
