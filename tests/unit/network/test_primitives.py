"""Primitives: what they compute, and the sides of their maps."""

import subprocess
import sys

import pytest
import torch

from parsec.network.layers import SEPARABLE, BatchNorm, FactorizedReduce, build
from parsec.space.darts import PRIMITIVES


@pytest.mark.parametrize("primitive", PRIMITIVES)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [1, 2, 5, 8])
def test_sides_round_up(primitive, stride, side):
    layer = build(primitive, 4, stride)
    assert layer(torch.randn(3, 4, side, side)).shape == (3, 4, -(-side // stride), -(-side // stride))


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_channels_last_is_kept(primitive):
    x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last)
    layer = build(primitive, 4, 1).to(memory_format=torch.channels_last)
    assert layer(x).is_contiguous(memory_format=torch.channels_last)


def test_separable_convolutions_have_expected_receptive_field():
    for primitive, reach in {"sep_conv_3x3": 2, "sep_conv_5x5": 4, "dil_conv_3x3": 2, "dil_conv_5x5": 4}.items():
        layer = build(primitive, 2, 1).eval()
        for weight in layer.parameters():
            torch.nn.init.ones_(weight)
        x = torch.rand(1, 2, 21, 21, requires_grad=True)
        layer(x)[0, :, 10, 10].sum().backward()
        touched = x.grad[0].abs().sum(0).nonzero()
        assert touched.min() >= 10 - reach
        assert touched.max() <= 10 + reach
        assert (touched.max() - touched.min()) == 2 * reach
        gap = SEPARABLE[primitive].dilation
        assert len(touched[:, 0].unique()) == (2 * reach) // gap + 1


def test_separable_convolutions_have_published_depth():
    norms = {p: sum(isinstance(m, BatchNorm) for m in build(p, 2, 1).modules()) for p in SEPARABLE}
    assert norms == {"sep_conv_3x3": 2, "sep_conv_5x5": 2, "dil_conv_3x3": 1, "dil_conv_5x5": 1}


def test_average_pool_excludes_padding():
    ones = torch.ones(1, 1, 5, 5)
    assert torch.equal(build("avg_pool_3x3", 1, 1)(ones), ones)


def test_max_pool_takes_largest_of_nine():
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert build("max_pool_3x3", 1, 2)(x).flatten().tolist() == [5, 7, 13, 15]


def test_skip_is_identity_at_stride_one():
    x = torch.randn(2, 3, 4, 4)
    assert build("skip_connect", 3, 1)(x) is x


@pytest.mark.parametrize("side", [4, 5])
def test_factorized_reduction_covers_even_and_odd(side):
    layer = FactorizedReduce(1, 2).eval()
    torch.nn.init.ones_(layer.even.weight)
    torch.nn.init.ones_(layer.odd.weight)
    x = torch.rand(1, 1, side, side) + 1
    layer.norm = torch.nn.Identity()
    even, odd = layer(x)[0]
    torch.testing.assert_close(even, x[0, 0, ::2, ::2])
    torch.testing.assert_close(odd[: side // 2, : side // 2], x[0, 0, 1::2, 1::2])


def test_batch_norm_matches_pytorch_without_counter():
    ours, theirs, x = BatchNorm(3), torch.nn.BatchNorm2d(3), torch.randn(8, 3, 6, 6) * 3 + 1
    for training in (True, False):
        torch.testing.assert_close(ours.train(training)(x), theirs.train(training)(x))
    known = theirs.state_dict()
    assert known.pop("num_batches_tracked") == 1
    assert ours.state_dict().keys() == known.keys()
    assert all(torch.equal(ours.state_dict()[name], value) for name, value in known.items())


NARROW = """
import torch
from {module} import FactorizedReduce
layer = FactorizedReduce(4, 4).to(memory_format=torch.channels_last)
for _ in range(100):
    x = torch.randn(16, 4, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
    layer(x).square().sum().backward()
"""


@pytest.mark.parametrize("module", ["parsec.network.layers", "parsec.bench.references"])
def test_narrow_reductions_do_not_corrupt_memory(module):
    """In a process of its own, because it died of this in PyTorch's strided convolution."""
    assert (
        subprocess.run([sys.executable, "-c", NARROW.format(module=module)], timeout=600, check=False).returncode == 0
    )
