"""The layers of the shared-weight network, for one child or for the maps of several stacked along channels.

Batch norm uses the statistics of the batch and has no affine parameters (DARTS, search network), so that over stacked
maps it is by construction each child's own. B images, C channels, H × W pixels, G stacked maps.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.channels_last import even_and_odd, join
from parsec.network.depthwise import depthwise
from parsec.network.primitives import Separable


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
