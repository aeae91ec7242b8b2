"""The operations of DARTS' search network in ordinary PyTorch style: a module an operation, called one by one.

As in the published code: batch norm without scale and shift but with running statistics, and after pooling too.
B images, C channels, H × W pixels; every layer maps [B, C, H, W] to [B, C', ⌈H/stride⌉, ⌈W/stride⌉].
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.network.primitives import SEPARABLE
from parsec.network.stack import CellShape, stem_channels
from parsec.settings.training import Network


def norm(channels: int, affine: bool = False) -> nn.Module:
    """Batch norm: without scale and shift in the search network, with them (`affine`) in one trained from scratch."""
    return nn.BatchNorm2d(channels, affine=affine)


class Zero(nn.Module):
    """No connection: zeros that still cost a pass over the map."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the layer's output shape."""
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class Halve(nn.Conv2d):
    """A 1 × 1 convolution of stride 2.

    On a CPU with few channels, channels last, the backward pass of PyTorch's own writes past its memory (oneDNN, torch
    2.13: seen below 8 channels with AVX2, whose vectors hold 8 numbers; AVX-512's hold 16), so pixels are picked there.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution."""
        if x.shape[1] < 16 and x.device.type == "cpu" and x.stride(1) == 1:
            return F.conv2d(x[:, :, ::2, ::2], self.weight)
        return super().forward(x)


def odd_pixels(x: Tensor) -> Tensor:
    """The map from its second row and column on, [B, C, 2⌈H/2⌉ − 1, 2⌈W/2⌉ − 1]: a stride of 2 picks the odd pixels."""
    shifted = x[:, :, 1:, 1:]
    if x.shape[2] % 2 or x.shape[3] % 2:
        # An odd side has one odd pixel fewer than even ones; a zero border makes both halves agree.
        shifted = F.pad(shifted, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    return shifted


class FactorizedReduce(nn.Module):
    """ReLU, two 1 × 1 convolutions of stride 2 on the even and the odd pixels, batch norm."""

    def __init__(self, inputs: int, outputs: int, affine: bool = False) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = Halve(inputs, outputs // 2)
        self.odd = Halve(inputs, outputs // 2)
        self.norm = norm(outputs, affine)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution."""
        x = self.relu(x)
        result: Tensor = self.norm(torch.cat([self.even(x), self.odd(odd_pixels(x))], dim=1))
        return result


class Stem(nn.Module):
    """Convolutions before the first cell: one for small images, three of stride 2 for large ones."""

    def __init__(self, network: Network, affine: bool) -> None:
        super().__init__()
        out, small = stem_channels(network), network.stem == "cifar"

        def conv(inputs: int, outputs: int) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, outputs, 3, stride=1 if small else 2, padding=1, bias=False)
            return [layer, nn.BatchNorm2d(outputs, affine=affine)]

        before = conv(3, out) if small else [*conv(3, out // 2), nn.ReLU(), *conv(out // 2, out)]
        self.before = nn.Sequential(*before)
        self.last = nn.Identity() if small else nn.Sequential(nn.ReLU(), *conv(out, out))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs 0 and 1 of the first cell."""
        before = self.before(x)
        return before, self.last(before)


def relu_conv_norm(inputs: int, outputs: int, affine: bool = False) -> nn.Module:
    """ReLU, 1 × 1 convolution, batch norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs, affine))


def align(shape: CellShape, affine: bool = False) -> nn.Module:
    """What brings the output of the cell before the last one to a cell's channels and resolution."""
    entry = FactorizedReduce if shape.after_reduction else relu_conv_norm
    return entry(shape.channels_before_previous, shape.channels, affine)


def _separable(primitive: str, channels: int, stride: int, affine: bool) -> nn.Module:
    kind = SEPARABLE[primitive]
    layers: list[nn.Module] = []
    for repeat in range(kind.repeats):
        step = stride if repeat == 0 else 1
        depthwise = nn.Conv2d(
            channels, channels, kind.kernel, step, kind.padding, kind.dilation, groups=channels, bias=False
        )
        layers += [nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False), norm(channels, affine)]
    return nn.Sequential(*layers)


def primitive(name: str, channels: int, stride: int, affine: bool = False) -> nn.Module:
    """Module of `none` or of one of `parsec.space.darts.PRIMITIVES`; pooling is normalised in the search alone."""
    if name in SEPARABLE:
        return _separable(name, channels, stride, affine)
    match name:
        case "max_pool_3x3":
            return _pooled(nn.MaxPool2d(3, stride, padding=1), channels, affine)
        case "avg_pool_3x3":
            return _pooled(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, affine)
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)
    return Zero(stride)


def _pooled(pool: nn.Module, channels: int, affine: bool) -> nn.Module:
    return pool if affine else nn.Sequential(pool, norm(channels))
