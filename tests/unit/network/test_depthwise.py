"""Depthwise convolutions: results and gradients of PyTorch's own, on every way through the backward pass."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from parsec.network import conv_cpu as module
from parsec.network.conv_cpu import depthwise

KINDS = [(3, 1), (5, 1), (3, 2), (5, 2)]


def both(sides, kernel, dilation, stride, layout=torch.channels_last, channels=6, dtype=torch.float64):
    """Result and both gradients of `depthwise` and of PyTorch."""
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, channels, *sides, generator=rng, dtype=torch.float64).to(dtype, memory_format=layout)
    weight = torch.randn(channels, 1, kernel, kernel, generator=rng, dtype=torch.float64).to(dtype)
    x.requires_grad_()
    weight.requires_grad_()
    padding, answers = dilation * (kernel // 2), []
    gradient = torch.randn(F.conv2d(x, weight, None, stride, padding, dilation, channels).shape, generator=rng)
    for result in (
        depthwise(x, weight, stride, padding, dilation),
        F.conv2d(x, weight, None, stride, padding, dilation, channels),
    ):
        answers.append((result, *torch.autograd.grad(result, (x, weight), gradient.to(dtype))))
    return answers


@pytest.fixture(params=[1, 2**40], ids=["large", "small"])
def either_way(request, monkeypatch):
    """Both sides of the size from which on the longer way is taken."""
    monkeypatch.setattr(module, "LARGE", request.param)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("kernel", "dilation"), KINDS)
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("sides", [(16, 16), (8, 8), (7, 12), (5, 5), (4, 4), (3, 2), (2, 2), (1, 1)])
def test_results_and_gradients_are_pytorchs(sides, kernel, dilation, stride):
    ours, expected = both(sides, kernel, dilation, stride)
    for one, other in zip(ours, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("kernel", "dilation"), KINDS)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_float32_in_both_layouts(kernel, dilation, layout):
    for sides, channels, stride in itertools.product([(9, 8), (4, 4)], [2, 4, 16, 36], [1, 2]):
        ours, expected = both(sides, kernel, dilation, stride, layout, channels, torch.float32)
        for one, other in zip(ours, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_what_needs_no_gradient_gets_none(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1)
    x = torch.randn(2, 4, 8, 8).to(memory_format=torch.channels_last)
    weight = torch.randn(4, 1, 5, 5, requires_grad=True)
    depthwise(x, weight, 1, 2, 1).sum().backward()
    assert weight.grad is not None
    assert x.grad is None


@pytest.mark.usefixtures("either_way")
@pytest.mark.parametrize(("kernel", "dilation"), KINDS)
def test_bfloat16_by_autocast(kernel, dilation):
    x = torch.randn(4, 16, 8, 8).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(16, 1, kernel, kernel, requires_grad=True)
    padding, answers = dilation * (kernel // 2), []
    for call in (depthwise, lambda x, w, *shape: F.conv2d(x, w, None, *shape, groups=16)):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = call(x, weight, 1, padding, dilation)
        assert result.dtype == torch.bfloat16
        answers.append((result.float(), *torch.autograd.grad(result.float().square().sum(), (x, weight))))
    for one, other in zip(*answers, strict=True):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0.05, atol=0.02 * float(other.detach().abs().max()))
