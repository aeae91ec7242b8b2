"""Layers of the cell spaces: modules of the retrained networks, functions of the supernet, their costs."""

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.network.conv_cpu import depthwise, even_and_odd, join


class Cost(NamedTuple):
    """Cost of a layer or a network on one image."""

    parameters: int
    """Learnt numbers: weights, biases, and the scale and shift of batch norm."""
    multiply_adds: int
    """Of convolutions and linear layers, forward, as the literature counts them; padding counts as input."""


FREE = Cost(0, 0)


def total(costs: Iterable[Cost]) -> Cost:
    """Sum of costs, part by part (`+` would join the tuples)."""
    parts = list(costs)
    return Cost(sum(cost.parameters for cost in parts), sum(cost.multiply_adds for cost in parts))


def strided(side: int, stride: int) -> int:
    """Side of the map that a stride leaves of `side` pixels: every layer here pads so that it rounds up."""
    return -(-side // stride)


def conv_cost(inputs: int, outputs: int, kernel: int, side: int, groups: int = 1) -> Cost:
    """Cost of a square convolution without bias; `side` is that of its output map, pixels."""
    weights = inputs // groups * outputs * kernel**2
    return Cost(weights, weights * side**2)


def batch_norm_cost(channels: int) -> Cost:
    """Cost of batch norm with a scale and a shift per channel."""
    return Cost(2 * channels, 0)


def linear_cost(inputs: int, outputs: int) -> Cost:
    """Cost of a linear layer with bias."""
    return Cost((inputs + 1) * outputs, inputs * outputs)


class Separable(NamedTuple):
    """Shape of a primitive made of depthwise separable convolutions."""

    kernel: int
    dilation: int
    repeats: int
    """How often ReLU, depthwise, pointwise and batch norm are applied; the stride is the first one's."""

    @property
    def padding(self) -> int:
        """Zero border that keeps the side at stride 1, pixels."""
        return self.dilation * (self.kernel - 1) // 2


SEPARABLE = {
    "sep_conv_3x3": Separable(kernel=3, dilation=1, repeats=2),
    "sep_conv_5x5": Separable(kernel=5, dilation=1, repeats=2),
    "dil_conv_3x3": Separable(kernel=3, dilation=2, repeats=1),
    "dil_conv_5x5": Separable(kernel=5, dilation=2, repeats=1),
}


class BatchNorm(nn.Module):
    """Batch norm with scale, shift and running statistics, with PyTorch's defaults.

    Unlike PyTorch's, it counts no batches: the count only matters for cumulative averages, and adding to it would be
    one kernel launch per layer and step.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise [B, C, H, W] over all but C: by the batch in training, otherwise by the running statistics."""
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, self.training)


class ReluConvBN(nn.Module):
    """ReLU, convolution (1 × 1 where it brings a cell's input to the cell's channels), batch norm."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
        self.norm = BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, ⌈H/stride⌉, ⌈W/stride⌉]."""
        result: Tensor = self.norm(self.conv(F.relu(x)))
        return result


def relu_conv_bn_cost(inputs: int, outputs: int, side: int, kernel: int = 1) -> Cost:
    """Cost of `ReluConvBN` whose output map has `side` × `side` pixels."""
    return total((conv_cost(inputs, outputs, kernel, side), batch_norm_cost(outputs)))


class FactorizedReduce(nn.Module):
    """Halve the map by two 1 × 1 convolutions of stride 2, one on the even and one on the odd pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.even = nn.Conv2d(inputs, outputs // 2, 1, bias=False)
        self.odd = nn.Conv2d(inputs, outputs - outputs // 2, 1, bias=False)
        self.norm = BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, ⌈H/2⌉, ⌈W/2⌉]."""
        even, odd = even_and_odd(F.relu(x))
        result: Tensor = self.norm(join((self.even(even), self.odd(odd))))
        return result


def factorized_reduce_cost(inputs: int, outputs: int, side: int) -> Cost:
    """Cost of `FactorizedReduce` on a map of `side` × `side` pixels: both halves together are one convolution."""
    return total((conv_cost(inputs, outputs, 1, strided(side, 2)), batch_norm_cost(outputs)))


class Depthwise(nn.Conv2d):
    """Depthwise convolution of a separable primitive, with the gradients of `depthwise`."""

    def __init__(self, shape: Separable, channels: int, stride: int) -> None:
        super().__init__(
            channels, channels, shape.kernel, stride, shape.padding, shape.dilation, groups=channels, bias=False
        )
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉]."""
        return depthwise(x, self.weight, self.stride[0], self.shape.padding, self.shape.dilation)


class SeparableConv(nn.Module):
    """ReLU, depthwise convolution, pointwise convolution, batch norm."""

    def __init__(self, shape: Separable, channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = Depthwise(shape, channels, stride)
        self.pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        self.norm = BatchNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉]."""
        result: Tensor = self.norm(self.pointwise(self.depthwise(F.relu(x))))
        return result


def separable_conv_cost(shape: Separable, channels: int, side: int) -> Cost:
    """Cost of `SeparableConv` whose output map has `side` × `side` pixels."""
    depthwise_cost = conv_cost(channels, channels, shape.kernel, side, groups=channels)
    return total((depthwise_cost, conv_cost(channels, channels, 1, side), batch_norm_cost(channels)))


class MaxPool(nn.Module):
    """3 × 3 maximum; a cost of nothing."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉]."""
        return F.max_pool2d(x, 3, self.stride, padding=1)


class AveragePool(MaxPool):
    """3 × 3 mean over the pixels inside the map; a cost of nothing."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉]."""
        return F.avg_pool2d(x, 3, self.stride, padding=1, count_include_pad=False)


def build(primitive: str, channels: int, stride: int) -> nn.Module:
    """Layer of one of `parsec.space.darts.PRIMITIVES`; `skip_connect` is `nn.Identity` at stride 1."""
    if primitive in SEPARABLE:
        shape = SEPARABLE[primitive]
        strides = [stride] + [1] * (shape.repeats - 1)
        return nn.Sequential(*(SeparableConv(shape, channels, s) for s in strides))
    if primitive == "skip_connect":
        return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)
    return {"max_pool_3x3": MaxPool, "avg_pool_3x3": AveragePool}[primitive](stride)


def build_cost(primitive: str, channels: int, stride: int, side: int) -> Cost:
    """Cost of `build(primitive, channels, stride)` on a map of `side` × `side` pixels."""
    if primitive in SEPARABLE:
        shape = SEPARABLE[primitive]
        return total([separable_conv_cost(shape, channels, strided(side, stride))] * shape.repeats)
    if primitive == "skip_connect" and stride > 1:
        return factorized_reduce_cost(channels, channels, side)
    return FREE


def normalise(x: Tensor) -> Tensor:
    """Batch norm of every channel by itself."""
    return F.batch_norm(x, None, None, training=True)


def pool(primitive: str, x: Tensor, stride: int) -> Tensor:
    """Maximum or mean over 3 × 3 pixels, normalised."""
    if primitive == "max_pool_3x3":
        return normalise(F.max_pool2d(x, 3, stride, padding=1))
    return normalise(F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False))


def separable(
    x: Tensor, kind: Separable, stride: int, weights: Sequence[tuple[Tensor, Tensor]], groups: int = 1
) -> Tensor:
    """Depthwise and pointwise convolutions of rectified maps [B, G C, H, W], with batch norm after each pair.

    Args:
        x: maps after ReLU.
        kind: shape of the primitive.
        stride: of the first depthwise convolution.
        weights: for every repeat those of depthwise [G C, 1, k, k] and pointwise [G C, C, 1, 1].
        groups: G.
    """
    for repeat, (deep, point) in enumerate(weights):
        if repeat:
            # Nobody else reads the map between the repeats, and batch norm does not need its result to go back.
            x = F.relu(x, inplace=True)
        x = depthwise(x, deep, 1 if repeat else stride, kind.padding, kind.dilation)
        x = normalise(F.conv2d(x, point, groups=groups))
    return x


def project(x: Tensor, weight: Tensor, groups: int = 1) -> Tensor:
    """1 × 1 convolution and batch norm of rectified maps [B, G C, H, W] with one weight [C', C, 1, 1] for all."""
    return normalise(_pixelwise(x, weight, groups))


def halve(x: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """Factorised reduction of rectified maps with one pair of weights for all, [C' / 2, C, 1, 1] each."""
    groups, (first, second) = x.shape[1] // even.shape[1], even_and_odd(x)
    return normalise(_interleave(_pixelwise(first, even, groups), _pixelwise(second, odd, groups), groups))


def halve_each(x: Tensor, even: Tensor, odd: Tensor, groups: int) -> Tensor:
    """The same with weights of its own for every map, [G C / 2, C, 1, 1] each."""
    first, second = even_and_odd(x)
    return normalise(_interleave(F.conv2d(first, even, groups=groups), F.conv2d(second, odd, groups=groups), groups))


def _pixelwise(x: Tensor, weight: Tensor, groups: int) -> Tensor:
    """The same 1 × 1 convolution of every map: one matrix product over pixels and maps."""
    if groups == 1:
        return F.conv2d(x, weight)
    count, _, height, width = x.shape
    pixels = x.permute(0, 2, 3, 1).reshape(-1, weight.shape[1])
    return F.linear(pixels, weight.flatten(1)).view(count, height, width, -1).permute(0, 3, 1, 2)


def _interleave(first: Tensor, second: Tensor, groups: int) -> Tensor:
    """Channels of both, map by map."""
    if groups == 1:
        return join((first, second))
    halves = [half.permute(0, 2, 3, 1).unflatten(-1, (groups, -1)) for half in (first, second)]
    return torch.cat(halves, dim=-1).flatten(-2).permute(0, 3, 1, 2)


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions and linear layers again, in module order; batch norm keeps 1 and 0.

    Weights are uniform with standard deviation 1/√(3·fan_in), biases uniform within ±1/√fan_in.
    `generator` is on the device of the network.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            if layer.bias is not None:
                bound = 1 / math.sqrt(layer.weight[0].numel())
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
