"""Triton kernels against their plain twins, on a CPU in Triton's interpreter; `test_fused.py` runs this file."""

import contextlib
import inspect
from functools import partial

import numpy as np
import pytest
import torch
import triton.language as tl
from triton.runtime import interpreter

from parsec.config.training import Network
from parsec.network.kernels import fused, layout, reference
from parsec.network.kernels.fused import pointwise
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


@pytest.fixture(autouse=True)
def products_of_bfloat16(monkeypatch):
    """Triton's interpreter keeps bfloat16 as bits, and multiplies those; here it multiplies what they stand for."""
    multiply = interpreter.InterpreterBuilder.create_dot

    def floats(handle):
        if handle.dtype.scalar != tl.bfloat16:
            return handle
        data = (handle.data.astype(np.uint32) << 16).view(np.float32)
        return interpreter.TensorHandle(data, tl.float32)

    def create_dot(self, left, right, *rest):
        return multiply(self, floats(left), floats(right), *rest)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", create_dot)


@pytest.fixture(autouse=True)
def masks_of_one_bit(monkeypatch):
    """Triton's interpreter spreads what compares two numbers as 32 bits, which from 3.9 on it takes for no mask."""
    spread = interpreter.InterpreterBuilder.create_splat

    def create_splat(self, kind, handle):
        bits = handle.data.dtype == np.bool_
        return spread(self, kind, interpreter.TensorHandle(handle.data, tl.int1) if bits else handle)

    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_splat", create_splat)


class Both:
    """Runs both versions of every operation on the same numbers, compares them and goes on with the plain one's."""

    def __init__(self):
        self.called = set()

    def __getattr__(self, name):
        def run(*args, **named):
            self.called.add(name)
            # Kernels round to bfloat16 where the plain version does not: what is between two launches, and factors.
            halves = any(isinstance(each, torch.Tensor) and each.dtype == torch.bfloat16 for each in args)
            tolerance = 2e-2 if halves else 1e-4
            clones = {id(each): each.clone() for each in args if isinstance(each, torch.Tensor)}
            copies = [clones.get(id(each), each) for each in args]
            getattr(fused, name)(*copies, **named)
            getattr(reference, name)(*args, **named)
            for parameter, copy, original in zip(
                inspect.signature(getattr(fused, name)).parameters, copies, args, strict=False
            ):
                if isinstance(original, torch.Tensor):
                    same(copy, original, f"{name}: {parameter}", tolerance)

        return run


def same(result, expected, what, tolerance):
    """Equal to rounding of the largest number."""
    finite = expected[expected.isfinite()].abs()
    scale = float(finite.max()) if finite.numel() else 1.0
    torch.testing.assert_close(
        result, expected, rtol=tolerance, atol=tolerance * scale, equal_nan=True, msg=lambda text: f"{what}: {text}"
    )


def children(sources, primitives):
    """One child for each row of primitives, whose edges take them in turn and these inputs, as far as there are any."""
    table = torch.zeros(len(primitives), 2, 4, 2, 2, dtype=torch.int64)
    for k, row in enumerate(primitives):
        for index, (cell, node, slot) in enumerate(torch.cartesian_prod(*map(torch.arange, (2, 4, 2))).tolist()):
            table[k, cell, node, slot, 0] = min(sources[index % len(sources)], node + 1)
            table[k, cell, node, slot, 1] = row[index % len(row)]
    return ArchitectureBatch(table)


def backward_compared(network, sides, children, dtype=torch.float32, temperature=1.0):
    """A step whose every launch is compared with its plain twin."""
    supernet = Supernet(network, 5, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    images, labels = torch.randn(2, 3, *sides, generator=rng), torch.tensor([0, 3])
    launches = Both()
    autocast = partial(torch.autocast, "cpu", dtype=dtype, enabled=dtype != torch.float32)
    table = FusedExecutor(supernet, autocast, skip_negligible=True, launches=launches)
    weighted_backward(table, children, images, labels, temperature)
    assert launches.called == set(OPERATIONS)
    assert supernet.weights.gradient.isfinite().all()


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
    backward_compared(network, sides, children(sources, primitives), temperature=temperature)


@pytest.mark.parametrize(("channels", "dtype"), [(16, torch.float32), (36, torch.bfloat16)])
def test_one_child_of_real_channels(channels, dtype):
    """One child, in cells of as many channels as the networks of a search have: 16, 32, 64 and 36, 72, 144."""
    backward_compared(
        Network(cells=3, channels=channels), (6, 5), children((0, 1, 2, 0, 3), [[3, 0, 6, 1, 2, 0, 1, 2]]), dtype
    )


def test_gradients_of_one_slot_are_summed():
    partials, gradient = torch.randn(5, 1, 3, 70), torch.randn(300)
    rows = torch.zeros(5, layout.CONV_COLUMNS, dtype=torch.int64)
    rows[:, layout.CONV_EVEN] = torch.tensor([100, -1, 0, 100, 100])
    expected = gradient.clone()
    for place, parts in zip(rows[:, layout.CONV_EVEN].tolist(), partials[:, 0], strict=True):
        if place >= 0:
            expected[place : place + 70] += parts.sum(0)
    pointwise.reduce_conv_kernel[(1, 5, 1)](rows, partials, gradient, 5, 3, HALVES=1, SIZE=70, R=8, T=2, WIDTH=128)
    torch.testing.assert_close(gradient, expected)


def test_statistics_with_large_mean():
    """Sums of squares would lose the variance to rounding."""
    values = torch.randn(600, 3, dtype=torch.float64) + 1000.0
    partials, result = torch.empty(1, 3, 2, 3), torch.empty(1, 2, 3)
    for index, tile in enumerate(values.split(layout.tile_pixels(3))):
        partials[0, index] = torch.stack([tile.sum(0), (tile - tile.mean(0)).square().sum(0)])
    fused.statistics(partials, 600, result)
    expected = (values.var(0, unbiased=False) + 1e-5).rsqrt()
    torch.testing.assert_close(result[0, 1].double(), expected, rtol=1e-4, atol=0)


def test_nan_reaches_every_likelihood():
    """A broken child must not look like a good one."""
    supernet = Supernet(Network(cells=3, channels=2), 5, torch.Generator().manual_seed(0))
    images, labels = torch.randn(2, 3, 6, 6), torch.tensor([0, 3])
    supernet.weights("cells.1.last").data.fill_(torch.nan)
    table = FusedExecutor(supernet, contextlib.nullcontext, launches=fused)
    assert table.log_likelihoods(children((1, 1), [[primitive] for primitive in ALL]), images, labels).isnan().all()
