"""ReLU, depthwise and pointwise convolution: forward."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.fused.common import (
    CONVOLVE,
    DEPTHWISE,
    DILATION,
    EDGE_COLUMNS,
    KERNEL,
    KIND,
    POINTWISE,
    REPEATS,
    SOURCE,
    STAGE_COLUMNS,
    STRIDE,
    UPSTREAM,
    aligned,
    aligned_weights,
    before_norm,
    chunk,
    depthwise,
    launch_shape,
    parts,
    places,
    rectified,
    scratch,
    source_sides,
    write,
)
from parsec.network.kernels.fused.norm import gradient_sums
from parsec.network.kernels.layout import Maps, tiles


@triton.jit
def stage_input(edge, row, x, out_pixels, height, width, out_height, out_width, STAGE: tl.constexpr, C: tl.constexpr):
    """Where a stage of an edge reads: first element, sides and stride; the second one reads the first one's result."""
    if STAGE == 0:
        stride = tl.load(edge + STRIDE).to(tl.int32)
        h, w = source_sides(stride, height, width, out_height, out_width)
        base = x + aligned(tl.load(edge + SOURCE), C)
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
        # The depthwise result is multiplied while it is in registers: in memory it would be as large as the map.
        weight = tl.load(second + out[None, :] * C + c[:, None], mask=chosen, other=0.0)
        total = tl.dot(value.to(DTYPE), weight.to(DTYPE), total, input_precision="ieee")
    return total


@triton.jit
def separable_kernel(
    edges, weights, x, statistics, z, partials, pixels, height, width, out_height, out_width,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One tile of one edge."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    base, h, w, stride = stage_input(edge, row, x, pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(edge + DILATION).to(tl.int32)
    first = weights + aligned_weights(tl.load(edge + DEPTHWISE + STAGE * STAGE_COLUMNS), C)
    second = weights + aligned_weights(tl.load(edge + POINTWISE + STAGE * STAGE_COLUMNS), C)
    pixel, ok, image, y, across = places(tile, pixels, out_height, out_width, P)
    total = convolve(
        base, statistics, row, first, second, image, y, across, ok, h, w, stride, dilation,
        tl.load(edge + KERNEL).to(tl.int32), z.dtype.element_ty, STAGE == 1, C, P, D, CHUNK,
    )  # fmt: skip
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * C
    write(z + row.to(tl.int64) * pixels * C, sums, total, pixel, ok, tile, pixels, C, C, P, D)


def separable(
    stage: int, edges: Tensor, weights: Tensor, states: Tensor, z: Tensor, statistics: Tensor, partials: Tensor,
    maps: Maps,
) -> None:  # fmt: skip
    """See `Operations.separable`."""
    x = states if stage == 0 else z[0]
    grid = (tiles(maps.pixels, maps.channels), maps.rows)
    separable_kernel[grid](
        edges, weights, x, statistics[0], z[stage], partials,
        maps.pixels, maps.height, maps.width, maps.out_height, maps.out_width,
        STAGE=stage, CHUNK=chunk(maps.channels), **launch_shape(maps.channels),
    )  # fmt: skip


@triton.jit
def depthwise_back(
    base, statistics, row, weights, dh, target, partials, c, part, count, pixels, h, w, out_height, out_width,
    stride, dilation, kernel, STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Gradients of what an edge reads, at a part of those pixels, and of its depthwise weights."""
    # A 5 × 5 kernel has 25 taps; Triton's ranges are powers of two.
    taps = tl.arange(0, 32)
    dw = tl.zeros([32, CHUNK], tl.float32)
    mean, scale = moments(statistics, row, c, STAGE == 1, C, CHUNK)
    per = (pixels + P * count - 1) // (P * count)
    for index in range(per):
        pixel, ok, image, y, across = places(part * per + index, pixels, h, w, P)
        mask = ok[:, None] & (c < C)[None, :]
        at = pixel[:, None] * C + c[None, :]
        value = tl.load(base + at, mask=mask, other=0.0).to(tl.float32)
        if STAGE == 1:
            value = (value - mean[None, :]) * scale[None, :]
        value = tl.where(mask, rectified(value), 0.0)
        total = tl.zeros([P, CHUNK], tl.float32)
        # Every input pixel gathers from the outputs that read it, so that no two programs write to one pixel. Strides
        # are 1 or 2: at stride 2 only even offsets belong to an output pixel.
        for tap in range(kernel * kernel):
            down = y - (tap // kernel - kernel // 2) * dilation
            right = across - (tap % kernel - kernel // 2) * dilation
            here = ok & (down >= 0) & (right >= 0) & ((down | right) & (stride - 1) == 0)
            down, right = down >> (stride - 1), right >> (stride - 1)
            here = here & (down < out_height) & (right < out_width)
            from_pixel = ((image * out_height + down) * out_width + right)[:, None] * C + c[None, :]
            gradient = tl.load(dh + from_pixel, mask=here[:, None] & (c < C)[None, :], other=0.0).to(tl.float32)
            total += gradient * tl.load(weights + tap * C + c, mask=c < C, other=0.0)[None, :]
            dw += tl.where((taps == tap)[:, None], tl.sum(value * gradient, 0)[None, :], 0.0)
        total = tl.where(value > 0.0, total, 0.0)
        # Other edges add to the same source. The result of the first stage is read by the second one only.
        if STAGE == 0:
            total += tl.load(target + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(target + at, total.to(target.dtype.element_ty), mask=mask)
    chosen = (taps < kernel * kernel)[:, None] & (c < C)[None, :]
    tl.store(partials + c[None, :] * (kernel * kernel) + taps[:, None], dw, mask=chosen)


@triton.jit
def depthwise_back_kernel(
    edges, weights, x, statistics, dh, gradients, partials,
    batch, height, width, out_height, out_width, start, step,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One part of the pixels that an edge reads, and some of its channels."""
    part, row = tl.program_id(0), start + tl.program_id(1) * step
    c = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK)
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    out_pixels = batch * out_height * out_width
    base, h, w, stride = stage_input(edge, row, x, out_pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(edge + DILATION).to(tl.int32)
    weight = weights + aligned_weights(tl.load(edge + DEPTHWISE + STAGE * STAGE_COLUMNS), C)
    target = gradients + aligned(tl.load(edge + (SOURCE if STAGE == 0 else UPSTREAM)), C)
    count = tl.num_programs(0)
    shift = row.to(tl.int64) * out_pixels * C
    slot = partials + (row.to(tl.int64) * count + part) * 25 * C
    depthwise_back(
        base, statistics, row, weight, dh + shift, target, slot, c, part, count, batch * h * w, h, w,
        out_height, out_width, stride, dilation, tl.load(edge + KERNEL).to(tl.int32), STAGE, C, P, CHUNK,
    )  # fmt: skip


@triton.jit
def pointwise_back(
    above, z, statistics, totals, base, source_statistics, row, first, weight, dh, c, part, per,
    pixels, h, w, out_height, out_width, stride, dilation, kernel,
    NORMALISE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the depthwise results and return that of the pointwise weights, of some input channels."""
    dw = tl.zeros([D, CHUNK], tl.float32)
    mean, scale = moments(source_statistics, row, c, NORMALISE, C, CHUNK)
    kind = z.dtype.element_ty
    for index in range(per):
        pixel, ok, image, y, across = places(part * per + index, pixels, out_height, out_width, P)
        dz = before_norm(above, z, statistics, totals, pixel, ok, pixels, False, C, C, D).to(kind)
        gradient = tl.dot(dz, weight.to(kind), input_precision="ieee")
        mask = ok[:, None] & (c < C)[None, :]
        tl.store(dh + pixel[:, None] * C + c[None, :], gradient.to(kind), mask=mask)
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
        # The depthwise result was recomputed above, because the forward pass does not store it.
        dw = tl.dot(tl.trans(dz), value.to(kind), dw, input_precision="ieee")
    return dw


@triton.jit
def pointwise_back_kernel(
    edges, weights, x, z, statistics, source_statistics, sums, gradients, dh, partials,
    pixels, height, width, out_height, out_width, per,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One part of an edge's pixels and some of its input channels."""
    part, row = tl.program_id(0), tl.program_id(1)
    c, out = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK), tl.arange(0, D)
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    base, h, w, stride = stage_input(edge, row, x, pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(edge + DILATION).to(tl.int32)
    first = weights + aligned_weights(tl.load(edge + DEPTHWISE + STAGE * STAGE_COLUMNS), C)
    place = out[:, None] * C + c[None, :]
    chosen = (out < C)[:, None] & (c < C)[None, :]
    second = weights + aligned_weights(tl.load(edge + POINTWISE + STAGE * STAGE_COLUMNS), C)
    weight = tl.load(second + place, mask=chosen, other=0.0)
    above = gradients + aligned(tl.load(edge + UPSTREAM + STAGE * STAGE_COLUMNS), C)
    shift = row.to(tl.int64) * pixels * C
    dw = pointwise_back(
        above, z + shift, statistics + row * 2 * C, sums + row * 2 * C, base, source_statistics, row, first, weight,
        dh + shift, c, part, per, pixels, h, w, out_height, out_width, stride, dilation,
        tl.load(edge + KERNEL).to(tl.int32), STAGE == 1, C, P, D, CHUNK,
    )  # fmt: skip
    slot = row.to(tl.int64) * tl.num_programs(0) + part
    tl.store(partials + slot * C * C + place, dw, mask=chosen)


NUMBERS = 2048
"""Elements of a tile of the second launch, whose programs hold only some of the channels."""


def separable_back(
    stage: int, edges: Tensor, weights: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor,
    maps: Maps,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """See `Operations.separable_back`; the two edges of a child are added to their sources one after the other."""
    upstream = layout.UPSTREAM + stage * layout.STAGE
    sums = gradient_sums(edges, upstream, gradients, z[stage], statistics[stage], False, layout.CONVOLVE)
    x = states if stage == 0 else z[0]
    c, rows, step = maps.channels, maps.rows, chunk(maps.channels)
    dh = torch.empty_like(z[0])
    count = parts(tiles(maps.pixels, c), c)
    per = triton.cdiv(tiles(maps.pixels, c), count)
    pointwise_partials = scratch(weights, rows, count, c * c)
    sides = (maps.height, maps.width, maps.out_height, maps.out_width)
    # First launch: gradients of the pointwise weights and of the depthwise results, over output pixels.
    pointwise_back_kernel[(count, rows, triton.cdiv(c, step))](
        edges, weights, x, z[stage], statistics[stage], statistics[0], sums, gradients, dh, pointwise_partials,
        maps.pixels, *sides, per, STAGE=stage, CHUNK=step, **launch_shape(c),
    )  # fmt: skip
    # Second launch: gradients of the depthwise weights and of the inputs, over input pixels.
    size = NUMBERS // step
    count = parts(triton.cdiv(maps.pixels, size), c)
    depthwise_partials = scratch(weights, rows, count, 25 * c)
    # The two edges of a child may read the same source; the second stages of two edges never share their input.
    launches = 2 if stage == 0 else 1
    for start in range(launches):
        depthwise_back_kernel[(count, rows // launches, triton.cdiv(c, step))](
            edges, weights, x, statistics[0], dh, gradients, depthwise_partials,
            maps.batch, *sides, start, launches, STAGE=stage, C=c, P=size, CHUNK=step,
        )  # fmt: skip
    return depthwise_partials, pointwise_partials
