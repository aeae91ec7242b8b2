"""Backward of batch norm and pointwise convolution, and the depthwise results that those read."""

import triton
import triton.language as tl

from parsec.network.kernels.fused.common import (
    CONVOLVE,
    DEPTHWISE,
    DILATION,
    KERNEL,
    KIND,
    PICK_COLUMNS,
    POINTWISE,
    REPEATS,
    STAGE_COLUMNS,
    UPSTREAM,
    aligned,
    aligned_weights,
    before_norm,
    depthwise,
    places,
)
from parsec.network.kernels.fused.separable import moments, stage_input


@triton.jit
def pointwise_back(
    above, z, statistics, totals, base, source_statistics, row, first, weight, dh, c, part, per,
    pixels, h, w, out_height, out_width, stride, dilation, kernel,
    NORMALISE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Write the gradient of the depthwise results and return that of the pointwise weights, of some input channels."""
    found = tl.zeros([D, CHUNK], tl.float32)
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
        found = tl.dot(tl.trans(dz), value.to(kind), found, input_precision="ieee")
    return found


@triton.jit
def pointwise_back_kernel(
    picks, weights, x, z, statistics, source_statistics, sums, gradients, dh, partials,
    pixels, height, width, out_height, out_width, per,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One part of a pick's pixels and some of its input channels."""
    part, row = tl.program_id(0), tl.program_id(1)
    c, out = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK), tl.arange(0, D)
    pick = picks + row * PICK_COLUMNS
    if (tl.load(pick + KIND) != CONVOLVE) | (tl.load(pick + REPEATS) <= STAGE):
        return
    base, h, w, stride = stage_input(pick, row, x, pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(pick + DILATION).to(tl.int32)
    first = weights + aligned_weights(tl.load(pick + DEPTHWISE + STAGE * STAGE_COLUMNS), C)
    place = out[:, None] * C + c[None, :]
    chosen = (out < C)[:, None] & (c < C)[None, :]
    second = weights + aligned_weights(tl.load(pick + POINTWISE + STAGE * STAGE_COLUMNS), C)
    weight = tl.load(second + place, mask=chosen, other=0.0)
    above = gradients + aligned(tl.load(pick + UPSTREAM + STAGE * STAGE_COLUMNS), C)
    shift = row.to(tl.int64) * pixels * C
    found = pointwise_back(
        above, z + shift, statistics + row * 2 * C, sums + row * 2 * C, base, source_statistics, row, first, weight,
        dh + shift, c, part, per, pixels, h, w, out_height, out_width, stride, dilation,
        tl.load(pick + KERNEL).to(tl.int32), STAGE == 1, C, P, D, CHUNK,
    )  # fmt: skip
    slot = row.to(tl.int64) * tl.num_programs(0) + part
    tl.store(partials + slot * C * C + place, found, mask=chosen)
