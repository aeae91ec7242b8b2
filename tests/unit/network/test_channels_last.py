"""Joining, splitting and thinning: values and gradients of PyTorch's own, and gradients that stay dense."""

import pytest
import torch
import torch.nn.functional as F

from parsec.network.conv_cpu import even_and_odd, even_pixels, join, pieces

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def maps(channels=6, sides=(5, 4), layout=torch.channels_last, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return (
        torch.randn(2, channels, *sides, generator=rng, dtype=torch.float64).to(memory_format=layout).requires_grad_()
    )


def check(result, expected, inputs):
    """Equal values, and equal gradients of a sum in which every number counts differently."""
    weights = [torch.arange(1.0, part.numel() + 1, dtype=torch.float64).view(part.shape) for part in expected]
    sums = [sum((w * p).sum() for w, p in zip(weights, parts, strict=True)) for parts in (result, expected)]
    for one, other in zip(result, expected, strict=True):
        assert torch.equal(one, other)
    for one, other in zip(*(torch.autograd.grad(each, inputs) for each in sums), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_join(layout):
    parts = [maps(channels, layout=layout, seed=channels) for channels in (2, 3, 2)]
    check([join(parts)], [torch.cat(parts, 1)], parts)
    assert join(parts[:1]) is parts[0]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pieces_allow_unused_outputs(layout):
    x = maps(layout=layout)
    check(list(pieces(x, 2))[1:], list(x.split(2, 1))[1:], [x])
    assert pieces(x, 6)[0] is x


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("sides", [(6, 4), (5, 4), (5, 7), (1, 1), (1, 2)])
def test_even_and_odd_pixels(layout, sides):
    x = maps(sides=sides, layout=layout)
    rows, columns = (side % 2 for side in sides)
    odd = F.pad(x[:, :, 1::2, 1::2], (0, columns, 0, rows))
    check(list(even_and_odd(x)), [x[:, :, ::2, ::2], odd], [x])
    check([even_pixels(x)], [x[:, :, ::2, ::2]], [x])


def test_gradients_stay_dense_and_channels_last():
    """Strided or contiguous ones make the batch norms before them several times slower."""
    x, y = maps(8, (6, 6)), maps(8, (6, 6), seed=1)
    first, second = pieces(join([x, y]), 8)
    even, odd = even_and_odd(first * 1)
    scale = torch.ones(1, dtype=torch.float64)
    results = (even.sum() + odd.sum() + (second * scale).sum() + even_pixels(y * 1).sum(),)
    seen = torch.autograd.grad(results, (x, y))
    assert all(gradient.is_contiguous(memory_format=torch.channels_last) for gradient in seen)


def test_other_devices_use_the_operations_of_pytorch():
    """On a GPU the ways around slow kernels of a CPU are only more launches."""
    x = torch.randn(2, 4, 6, 6, device="meta").to(memory_format=torch.channels_last).requires_grad_()
    names = [join([x, x]), pieces(x, 2)[0], even_pixels(x), even_and_odd(x)[0]]
    assert [result.grad_fn.name() for result in names] == ["CatBackward0", "SplitBackward0"] + ["SliceBackward0"] * 2
