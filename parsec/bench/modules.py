"""The operations of DARTS' search network in ordinary PyTorch style: a module an operation, called one by one.

As in the published code: batch norm without scale and shift but with running statistics, and after pooling too.
B images, C channels, H × W pixels; every layer maps [B, C, H, W] to [B, C', ⌈H/stride⌉, ⌈W/stride⌉].
"""

import torch
from torch import Tensor, nn

from parsec.network.primitives import SEPARABLE, EveryOtherPixel
from parsec.network.stack import CellShape


def norm(channels: int) -> nn.Module:
    """Batch norm of the search network."""
    return nn.BatchNorm2d(channels, affine=False)


class Zero(nn.Module):
    """No connection: zeros that still cost a pass over the map."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the layer's output shape."""
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class Halve(EveryOtherPixel):
    """A plain 1 × 1 convolution of stride 2, but safe where PyTorch's own is not (see `every_other_pixel`)."""

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution."""
        channels_last = x.stride(1) == 1
        return super().forward(x) if channels_last else nn.Conv2d.forward(self, x)


class FactorizedReduce(nn.Module):
    """ReLU, two 1 × 1 convolutions of stride 2 on the even and the odd pixels, batch norm; H and W are even."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = Halve(inputs, outputs // 2)
        self.odd = Halve(inputs, outputs // 2)
        self.norm = norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution."""
        x = self.relu(x)
        result: Tensor = self.norm(torch.cat([self.even(x), self.odd(x[:, :, 1:, 1:])], dim=1))
        return result


def relu_conv_norm(inputs: int, outputs: int) -> nn.Module:
    """ReLU, 1 × 1 convolution, batch norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs))


def align(shape: CellShape) -> nn.Module:
    """What brings the output of the cell before the last one to a cell's channels and resolution."""
    entry = FactorizedReduce if shape.after_reduction else relu_conv_norm
    return entry(shape.channels_before_previous, shape.channels)


def _separable(primitive: str, channels: int, stride: int) -> nn.Module:
    kind = SEPARABLE[primitive]
    layers: list[nn.Module] = []
    for repeat in range(kind.repeats):
        step = stride if repeat == 0 else 1
        depthwise = nn.Conv2d(
            channels, channels, kind.kernel, step, kind.padding, kind.dilation, groups=channels, bias=False
        )
        layers += [nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False), norm(channels)]
    return nn.Sequential(*layers)


def primitive(name: str, channels: int, stride: int) -> nn.Module:
    """Module of `none` or of one of `parsec.space.darts.PRIMITIVES`."""
    if name in SEPARABLE:
        return _separable(name, channels, stride)
    match name:
        case "max_pool_3x3":
            return nn.Sequential(nn.MaxPool2d(3, stride, padding=1), norm(channels))
        case "avg_pool_3x3":
            return nn.Sequential(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), norm(channels))
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    return Zero(stride)
