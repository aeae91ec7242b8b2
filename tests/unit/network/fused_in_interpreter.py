"""Triton kernels against their plain twins, on a CPU in Triton's interpreter; `test_fused.py` runs this file."""

import contextlib
import inspect

import pytest
import torch

from parsec.config.training import Network
from parsec.network.kernels import fused, reference
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.fused import FusedExecutor
from parsec.space.darts import PRIMITIVES

OPERATIONS = reference.__all__
ALL = range(len(PRIMITIVES))


@pytest.fixture(autouse=True)
def fresh_memory_is_not_a_number():
    """Whatever a launch reads and nobody wrote must not reach a result."""
    torch.use_deterministic_algorithms(True)
    torch.utils.deterministic.fill_uninitialized_memory = True
    yield
    torch.use_deterministic_algorithms(False)


class Both:
    """Runs both versions of every operation on the same numbers, compares them and goes on with the plain one's."""

    def __init__(self):
        self.called = set()

    def __getattr__(self, name):
        def run(*args, **named):
            self.called.add(name)
            clones = {id(each): each.clone() for each in args if isinstance(each, torch.Tensor)}
            copies = [clones.get(id(each), each) for each in args]
            result = getattr(fused, name)(*copies, **named)
            expected = getattr(reference, name)(*args, **named)
            for parameter, copy, original in zip(
                inspect.signature(getattr(fused, name)).parameters, copies, args, strict=False
            ):
                if isinstance(original, torch.Tensor):
                    same(copy, original, f"{name}: {parameter}")
            for copy, original in zip(as_tuple(result), as_tuple(expected), strict=True):
                parts = copy.sum(-2)
                blank = parts.isnan()
                assert not original.sum(-2)[blank].any(), name
                same(parts[~blank], original.sum(-2)[~blank], name)
            return expected

        return run


def as_tuple(result):
    return () if result is None else result if isinstance(result, tuple) else (result,)


def same(result, expected, what):
    """Equal to float32 rounding of the largest number."""
    finite = expected[expected.isfinite()].abs()
    scale = float(finite.max()) if finite.numel() else 1.0
    torch.testing.assert_close(
        result, expected, rtol=1e-4, atol=1e-4 * scale, equal_nan=True, msg=lambda text: f"{what}: {text}"
    )


def children(sources, primitives):
    """One child for each row of primitives, whose edges take them in turn and these inputs, as far as there are any."""
    table = torch.zeros(len(primitives), 2, 4, 2, 2, dtype=torch.int64)
    for k, row in enumerate(primitives):
        for index, (cell, node, slot) in enumerate(torch.cartesian_prod(*map(torch.arange, (2, 4, 2))).tolist()):
            table[k, cell, node, slot, 0] = min(sources[index % len(sources)], node + 1)
            table[k, cell, node, slot, 1] = row[index % len(row)]
    return ArchitectureBatch(table)


@pytest.mark.parametrize(
    ("network", "sides", "sources", "primitives", "temperature"),
    [
        (Network(cells=3, channels=2), (9, 7), (0, 0, 1, 1, 0, 3, 4, 1), [ALL, list(ALL)[::-1]], 1.0),
        (Network(cells=3, channels=6, stem="imagenet"), (33, 25), (0, 1, 1, 0), [[4, 3, 2, 6, 5], [0, 1]], 1e-3),
    ],
    ids=["odd-sides", "many-channels"],
)
def test_kernels_equal_reference(network, sides, sources, primitives, temperature):
    """At the low temperature one of two children is left out of the way back."""
    supernet = Supernet(network, 5, torch.Generator().manual_seed(0))
    draws = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 3, *sides, generator=draws), torch.tensor([0, 3])
    launches = Both()
    table = FusedExecutor(supernet, contextlib.nullcontext, skip_negligible=True, launches=launches)
    weighted_backward(table, children(sources, primitives), images, labels, temperature)
    assert launches.called == set(OPERATIONS)
    assert supernet.bank.gradient.isfinite().all()


def test_gradients_of_one_slot_are_summed():
    partials, gradient = torch.randn(5, 3, 100), torch.randn(300)
    places, sizes = torch.tensor([100, -1, 0, 100, 100]), torch.tensor([70, 70, 100, 70, 70])
    expected = gradient.clone()
    reference.reduce_weight_grads(partials, places, sizes, expected)
    fused.reduce_weight_grads(partials, places, sizes, gradient)
    torch.testing.assert_close(gradient, expected)


def test_statistics_with_large_mean():
    """Sums of squares would lose the variance to rounding."""
    values = torch.randn(300, 3, dtype=torch.float64) + 1000.0
    partials, result = torch.empty(1, 3, 2, 3), torch.empty(1, 2, 3)
    for index, tile in enumerate(values.split(128)):
        partials[0, index] = torch.stack([tile.sum(0), (tile - tile.mean(0)).square().sum(0)])
    fused.statistics(partials, 300, result)
    expected = (values.var(0, unbiased=False) + 1e-5).rsqrt()
    torch.testing.assert_close(result[0, 1].double(), expected, rtol=1e-4, atol=0)


def test_nan_reaches_every_likelihood():
    """A broken child must not look like a good one."""
    supernet = Supernet(Network(cells=3, channels=2), 5, torch.Generator().manual_seed(0))
    images, labels = torch.randn(2, 3, 6, 6), torch.tensor([0, 3])
    supernet.bank("cells.1.last").data.fill_(torch.nan)
    table = FusedExecutor(supernet, contextlib.nullcontext, launches=fused)
    assert table.log_likelihoods(children((1, 1), [[primitive] for primitive in ALL]), images, labels).isnan().all()
