"""Backward of depthwise convolution and ReLU: every pixel reads what its neighbours' results hand on."""

import triton
import triton.language as tl

from parsec.network.kernels.fused.common import (
    CONVOLVE,
    DEPTHWISE,
    DILATION,
    KERNEL,
    KIND,
    PICK_COLUMNS,
    REPEATS,
    SOURCE,
    STAGE_COLUMNS,
    UPSTREAM,
    aligned,
    aligned_weights,
    places,
    rectified,
)
from parsec.network.kernels.fused.separable import moments, stage_input


@triton.jit
def depthwise_back(
    base, statistics, row, weights, dh, target, partials, c, part, count, pixels, h, w, out_height, out_width,
    stride, dilation, kernel, STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Gradients of what a pick reads, at a part of those pixels, and of its depthwise weights."""
    taps = tl.arange(0, 32)
    found = tl.zeros([32, CHUNK], tl.float32)
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
        for tap in range(kernel * kernel):
            down = y - (tap // kernel - kernel // 2) * dilation
            right = across - (tap % kernel - kernel // 2) * dilation
            here = ok & (down >= 0) & (right >= 0) & ((down | right) & (stride - 1) == 0)
            down, right = down >> (stride - 1), right >> (stride - 1)
            here = here & (down < out_height) & (right < out_width)
            from_pixel = ((image * out_height + down) * out_width + right)[:, None] * C + c[None, :]
            gradient = tl.load(dh + from_pixel, mask=here[:, None] & (c < C)[None, :], other=0.0).to(tl.float32)
            total += gradient * tl.load(weights + tap * C + c, mask=c < C, other=0.0)[None, :]
            found += tl.where((taps == tap)[:, None], tl.sum(value * gradient, 0)[None, :], 0.0)
        total = tl.where(value > 0.0, total, 0.0)
        if STAGE == 0:
            total += tl.load(target + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(target + at, total.to(target.dtype.element_ty), mask=mask)
    chosen = (taps < kernel * kernel)[:, None] & (c < C)[None, :]
    tl.store(partials + c[None, :] * (kernel * kernel) + taps[:, None], found, mask=chosen)


@triton.jit
def depthwise_back_kernel(
    picks, weights, x, statistics, dh, gradients, partials,
    batch, height, width, out_height, out_width, start, step,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One part of the pixels that a pick reads, and some of its channels."""
    part, row = tl.program_id(0), start + tl.program_id(1) * step
    c = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK)
    pick = picks + row * PICK_COLUMNS
    if (tl.load(pick + KIND) != CONVOLVE) | (tl.load(pick + REPEATS) <= STAGE):
        return
    out_pixels = batch * out_height * out_width
    base, h, w, stride = stage_input(pick, row, x, out_pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(pick + DILATION).to(tl.int32)
    weight = weights + aligned_weights(tl.load(pick + DEPTHWISE + STAGE * STAGE_COLUMNS), C)
    target = gradients + aligned(tl.load(pick + (SOURCE if STAGE == 0 else UPSTREAM)), C)
    count = tl.num_programs(0)
    shift = row.to(tl.int64) * out_pixels * C
    slot = partials + (row.to(tl.int64) * count + part) * 25 * C
    depthwise_back(
        base, statistics, row, weight, dh + shift, target, slot, c, part, count, batch * h * w, h, w,
        out_height, out_width, stride, dilation, tl.load(pick + KERNEL).to(tl.int32), STAGE, C, P, CHUNK,
    )  # fmt: skip
