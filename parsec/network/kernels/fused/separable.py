"""ReLU, depthwise and pointwise convolution: forward."""

import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels.fused.common import (
    CONVOLVE,
    DEPTHWISE,
    DILATION,
    KERNEL,
    KIND,
    PICK_COLUMNS,
    POINTWISE,
    REPEATS,
    SOURCE,
    STAGE_COLUMNS,
    STRIDE,
    aligned,
    aligned_weights,
    chunk,
    depthwise,
    launch_shape,
    places,
    source_sides,
    write,
)
from parsec.network.kernels.shapes import Maps, tiles


@triton.jit
def stage_input(pick, row, x, out_pixels, height, width, out_height, out_width, STAGE: tl.constexpr, C: tl.constexpr):
    """Where a stage of a pick reads: first element, sides and stride; the second one reads the first one's result."""
    if STAGE == 0:
        stride = tl.load(pick + STRIDE).to(tl.int32)
        h, w = source_sides(stride, height, width, out_height, out_width)
        base = x + aligned(tl.load(pick + SOURCE), C)
    else:
        stride = tl.full([], 1, tl.int32)
        h, w = source_sides(stride, height, width, out_height, out_width)
        base = x + row.to(tl.int64) * out_pixels * C
    return base, h, w, stride


@triton.jit
def moments(statistics, row, c, NORMALISE: tl.constexpr, C: tl.constexpr, CHUNK: tl.constexpr):
    """Mean and scale of some channels of a row, where what is read must be normalised."""
    if NORMALISE:
        mean = tl.load(statistics + row * 2 * C + c, mask=c < C, other=0.0)
        scale = tl.load(statistics + row * 2 * C + C + c, mask=c < C, other=0.0)
    else:
        mean, scale = tl.zeros([CHUNK], tl.float32), tl.zeros([CHUNK], tl.float32)
    return mean, scale


@triton.jit
def convolve(
    base, statistics, row, first, second, image, y, across, ok, h, w, stride, dilation, kernel,
    DTYPE: tl.constexpr, NORMALISE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
    CHUNK: tl.constexpr,
):  # fmt: skip
    """Depthwise convolution in chunks of channels, each at once multiplied with its part of the pointwise weights."""
    total = tl.zeros([P, D], tl.float32)
    out = tl.arange(0, D)
    for start in range(0, C, CHUNK):
        c = start + tl.arange(0, CHUNK)
        mean, scale = moments(statistics, row, c, NORMALISE, C, CHUNK)
        value = depthwise(
            base,
            mean,
            scale,
            first,
            image,
            y,
            across,
            ok,
            h,
            w,
            stride,
            dilation,
            c,
            c < C,
            kernel,
            NORMALISE,
            C,
            P,
            CHUNK,
        )
        chosen = (c < C)[:, None] & (out < C)[None, :]
        weight = tl.load(second + out[None, :] * C + c[:, None], mask=chosen, other=0.0)
        total = tl.dot(value.to(DTYPE), weight.to(DTYPE), total, input_precision="ieee")
    return total


@triton.jit
def separable_kernel(
    picks, weights, x, statistics, z, partials, pixels, height, width, out_height, out_width,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One tile of one pick."""
    tile, row = tl.program_id(0), tl.program_id(1)
    pick = picks + row * PICK_COLUMNS
    if (tl.load(pick + KIND) != CONVOLVE) | (tl.load(pick + REPEATS) <= STAGE):
        return
    base, h, w, stride = stage_input(pick, row, x, pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(pick + DILATION).to(tl.int32)
    first = weights + aligned_weights(tl.load(pick + DEPTHWISE + STAGE * STAGE_COLUMNS), C)
    second = weights + aligned_weights(tl.load(pick + POINTWISE + STAGE * STAGE_COLUMNS), C)
    pixel, ok, image, y, across = places(tile, pixels, out_height, out_width, P)
    total = convolve(
        base, statistics, row, first, second, image, y, across, ok, h, w, stride, dilation,
        tl.load(pick + KERNEL).to(tl.int32), z.dtype.element_ty, STAGE == 1, C, P, D, CHUNK,
    )  # fmt: skip
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * C
    write(z + row.to(tl.int64) * pixels * C, sums, total, pixel, ok, tile, pixels, C, C, P, D)


def separable(
    stage: int, picks: Tensor, weights: Tensor, states: Tensor, z: Tensor, statistics: Tensor, partials: Tensor,
    maps: Maps,
) -> None:  # fmt: skip
    """See `Operations.separable`."""
    x = states if stage == 0 else z[0]
    grid = (tiles(maps.pixels, maps.channels), maps.rows)
    separable_kernel[grid](
        picks, weights, x, statistics[0], z[stage], partials,
        maps.pixels, maps.height, maps.width, maps.out_height, maps.out_width,
        STAGE=stage, CHUNK=chunk(maps.channels), **launch_shape(maps.channels),
    )  # fmt: skip
