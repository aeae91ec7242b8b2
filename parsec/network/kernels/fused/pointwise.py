"""ReLU and 1 × 1 convolution, or factorised reduction: forward and backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.fused.common import (
    REGISTERS,
    WIDTH,
    add_parts,
    aligned,
    back_shape,
    before_norm,
    chunk,
    groups,
    norm,
    parts,
    pixels_of_tile,
    rectified,
    replaced,
    scratch,
    warps,
    wide_chunk,
    write,
)
from parsec.network.kernels.fused.norm import gradient_sums
from parsec.network.kernels.layout import Conv1x1, padded, tile_pixels, tiles

CONV_SOURCE, CONV_TARGET = tl.constexpr(layout.CONV_SOURCE), tl.constexpr(layout.CONV_TARGET)
CONV_UPSTREAM, CONV_EVEN = tl.constexpr(layout.CONV_UPSTREAM), tl.constexpr(layout.CONV_EVEN)
CONV_COLUMNS = tl.constexpr(layout.CONV_COLUMNS)


def _sizes(conv: Conv1x1) -> dict[str, int]:
    """Compile-time sizes of a conv: a program handles one half of the channels, tiles are those of all channels."""
    half = conv.channels // conv.halves
    return {
        "HALVES": conv.halves,
        "BLOCKS": conv.blocks,
        "BLOCK": conv.block_channels,
        "ROW": conv.channels,
        "C": half,
        "P": tile_pixels(conv.channels),
        "D": padded(half),
        "CHUNK": chunk(conv.block_channels),
        "num_warps": warps(half),
        "num_stages": 2,
        "maxnreg": REGISTERS,
    }


@triton.jit(do_not_specialize=["pixels", "height", "width", "out_height", "out_width"])
def conv1x1_kernel(
    rows, weights, x, z, partials, pixels, height, width, out_height, out_width, block_stride,
    HALVES: tl.constexpr, BLOCKS: tl.constexpr, BLOCK: tl.constexpr, ROW: tl.constexpr, C: tl.constexpr,
    P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One tile of one half of a row."""
    tile, row, half = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    source = tl.load(rows + row * CONV_COLUMNS + CONV_SOURCE)
    if source < 0:
        return
    weight = weights + tl.load(rows + row * CONV_COLUMNS + CONV_EVEN + half)
    pixel, ok, image, y, across = pixels_of_tile(tile, pixels, out_height, out_width, P)
    # The halves of a factorised reduction (DARTS) read even and odd pixels; with one half, this is every pixel.
    y, across = y * HALVES + half, across * HALVES + half
    here = ok & (y < height) & (across < width)
    at = ((image * height + y) * width + across) * BLOCK
    out = tl.arange(0, D)
    total = tl.zeros([P, D], tl.float32)
    # The input is the concatenation of a cell's nodes, which is never written: each block lies block_stride further on.
    for block in range(BLOCKS):
        base = x + aligned(source, BLOCK) + block * aligned(tl.cast(block_stride, tl.int64), BLOCK)
        for start in range(0, BLOCK, CHUNK):
            c = start + tl.arange(0, CHUNK)
            value = tl.load(base + at[:, None] + c[None, :], mask=here[:, None] & (c < BLOCK)[None, :], other=0.0)
            value = rectified(value).to(x.dtype.element_ty)
            offset = out[None, :] * (BLOCKS * BLOCK) + block * BLOCK + c[:, None]
            w = tl.load(weight + offset, mask=(c < BLOCK)[:, None] & (out < C)[None, :], other=0.0)
            # `ieee`: float32 is not rounded to TF32, so that results match the executor `sequential`.
            total = tl.dot(value, w.to(x.dtype.element_ty), total, input_precision="ieee")
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * ROW + half * C
    write(z + row.to(tl.int64) * pixels * ROW + half * C, sums, total, pixel, ok, out, out < C, tile, pixels, ROW, P)


def conv1x1(rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, partials: Tensor, conv: Conv1x1) -> None:
    """See `Operations.conv1x1`."""
    grid = (tiles(conv.pixels, conv.channels), len(rows), conv.halves)
    sides = (conv.height, conv.width, conv.out_height, conv.out_width)
    conv1x1_kernel[grid](rows, weights, x, z, partials, conv.pixels, *sides, conv.block_stride, **_sizes(conv))


@triton.jit
def input_pixels(tile, half, pixels, height, width, out_height, out_width, HALVES: tl.constexpr, P: tl.constexpr):
    """Pixels of the input that a tile of results is made from, and whether they exist; see `conv1x1_kernel`."""
    _, ok, image, y, across = pixels_of_tile(tile, pixels, out_height, out_width, P)
    y, across = y * HALVES + half, across * HALVES + half
    return (image * height + y) * width + across, ok & (y < height) & (across < width)


@triton.jit(do_not_specialize=["pixels", "height", "width", "out_height", "out_width", "first", "step"])
def conv_input_back_kernel(
    rows, weights, x, z, statistics, sums, gradients, dz, targets,
    pixels, height, width, out_height, out_width, block_stride, first, step,
    NORMALISED: tl.constexpr, ADD: tl.constexpr, SUMS: tl.constexpr, HALVES: tl.constexpr, BLOCKS: tl.constexpr,
    BLOCK: tl.constexpr, ROW: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Gradient before batch norm of one tile of one half of a row, once, and from it those of all input channels."""
    # Rows of one launch are `step` apart, so that no two of them add to one target at the same time.
    tile, row, half = tl.program_id(0), first + tl.program_id(1) * step, tl.program_id(2)
    chunks: tl.constexpr = (BLOCK + CHUNK - 1) // CHUNK
    entry = rows + row * CONV_COLUMNS
    source = tl.load(entry + CONV_SOURCE)
    if source < 0:
        return
    stride = aligned(tl.cast(block_stride, tl.int64), BLOCK)
    target = targets + aligned(tl.load(entry + CONV_TARGET), BLOCK)
    source = x + aligned(source, BLOCK)
    above = gradients + aligned(tl.load(entry + CONV_UPSTREAM), ROW) + half * C
    shift = row.to(tl.int64) * pixels * ROW + half * C
    weight = weights + tl.load(entry + CONV_EVEN + half)
    out, pixel = tl.arange(0, D), tile * P + tl.arange(0, P)
    at, mask = pixel[:, None] * ROW + out[None, :], (pixel < pixels)[:, None] & (out < C)[None, :]
    mean, scale, first_mean, second_mean = norm(
        statistics + row * 2 * ROW + half * C, sums + row * SUMS * 2 * ROW + half * C, pixels, NORMALISED,
        out, out < C, SUMS, ROW,
    )  # fmt: skip
    gradient = before_norm(above, z + shift, mean, scale, first_mean, second_mean, at, mask).to(dz.dtype.element_ty)
    tl.store(dz + shift + at, gradient, mask=mask)
    read, ok = input_pixels(tile, half, pixels, height, width, out_height, out_width, HALVES, P)
    for index in range(BLOCKS * chunks):
        block, c = index // chunks, index % chunks * CHUNK + tl.arange(0, CHUNK)
        offset = out[:, None] * (BLOCKS * BLOCK) + block * BLOCK + c[None, :]
        w = tl.load(weight + offset, mask=(out < C)[:, None] & (c < BLOCK)[None, :], other=0.0)
        dx = tl.dot(gradient, w.to(gradient.dtype), input_precision="ieee")
        here, inside = block * stride + read[:, None] * BLOCK + c[None, :], ok[:, None] & (c < BLOCK)[None, :]
        # The ReLU comes before the convolution, so that its gradient is masked by the sign of the input.
        dx = tl.where(tl.load(source + here, mask=inside, other=0.0).to(tl.float32) > 0.0, dx, 0.0)
        if ADD:
            dx += tl.load(target + here, mask=inside, other=0.0).to(tl.float32)
        tl.store(target + here, dx.to(targets.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=["pixels", "height", "width", "out_height", "out_width", "per"])
def conv_weight_back_kernel(
    rows, x, dz, partials, pixels, height, width, out_height, out_width, block_stride, per,
    HALVES: tl.constexpr, BLOCKS: tl.constexpr, BLOCK: tl.constexpr, ROW: tl.constexpr, C: tl.constexpr,
    P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """Gradient of the weights of GROUP chunks of input channels, one half, one part of a row's pixels."""
    part, row = tl.program_id(0), tl.program_id(1)
    chunks: tl.constexpr = (BLOCK + CHUNK - 1) // CHUNK
    half, first = tl.program_id(2) % HALVES, tl.program_id(2) // HALVES * GROUP
    source = tl.load(rows + row * CONV_COLUMNS + CONV_SOURCE)
    if source < 0:
        return
    stride, source = aligned(tl.cast(block_stride, tl.int64), BLOCK), x + aligned(source, BLOCK)
    above, out = dz + row.to(tl.int64) * pixels * ROW + half * C, tl.arange(0, D)
    total = (tl.zeros([D, CHUNK], tl.float32),) * GROUP
    for index in range(per):
        tile = part * per + index
        own = tile * P + tl.arange(0, P)
        mask = (own < pixels)[:, None] & (out < C)[None, :]
        gradient = tl.trans(tl.load(above + own[:, None] * ROW + out[None, :], mask=mask, other=0.0))
        pixel, ok = input_pixels(tile, half, pixels, height, width, out_height, out_width, HALVES, P)
        for each in tl.static_range(GROUP):
            block, c = (first + each) // chunks, (first + each) % chunks * CHUNK + tl.arange(0, CHUNK)
            mask = ok[:, None] & ((c < BLOCK) & (block < BLOCKS))[None, :]
            value = tl.load(source + block * stride + pixel[:, None] * BLOCK + c[None, :], mask=mask, other=0.0)
            value = rectified(value).to(gradient.dtype)
            total = replaced(total, each, tl.dot(gradient, value, total[each], input_precision="ieee"))
    # A slot per part instead of atomic additions, whose order, and with it the rounding, would differ between runs.
    slot = partials + ((row.to(tl.int64) * HALVES + half) * tl.num_programs(0) + part) * (C * BLOCKS * BLOCK)
    for each in tl.static_range(GROUP):
        block, c = (first + each) // chunks, (first + each) % chunks * CHUNK + tl.arange(0, CHUNK)
        chosen = (out < C)[:, None] & ((c < BLOCK) & (block < BLOCKS))[None, :]
        tl.store(slot + out[:, None] * (BLOCKS * BLOCK) + block * BLOCK + c[None, :], total[each], mask=chosen)


@triton.jit(do_not_specialize=["rows_count", "count"])
def reduce_conv_kernel(
    rows, partials, gradient, rows_count, count, HALVES: tl.constexpr, SIZE: tl.constexpr,
    R: tl.constexpr, T: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Some weights of one half of one row: see `add_parts`."""
    block, row, half = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    add_parts(
        partials + half * count * SIZE, HALVES * count * SIZE, count, SIZE, rows + CONV_EVEN + half, CONV_COLUMNS,
        SIZE, gradient, block * WIDTH + tl.arange(0, WIDTH), row, rows_count, R, T,
    )  # fmt: skip


def conv1x1_back(
    rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, targets: Tensor,
    weight_gradient: Tensor, conv: Conv1x1, normalised: bool, first: bool,
) -> None:  # fmt: skip
    """See `Operations.conv1x1_back`; edges of one child are added to their target one launch after the other."""
    sums = gradient_sums(rows, layout.CONV_UPSTREAM, gradients, z, statistics, int(normalised), 0)
    sizes, dz = _sizes(conv) | back_shape(conv.channels // conv.halves), torch.empty_like(z)
    sizes["P"] = 64
    sides = (conv.height, conv.width, conv.out_height, conv.out_width)
    # Projections have one row per child. Of factorised reductions a child may have two with the same source.
    launches, tile = 1 if normalised else 2, sizes["P"]
    for start in range(launches):
        conv_input_back_kernel[(triton.cdiv(conv.pixels, tile), len(rows) // launches, conv.halves)](
            rows, weights, x, z, statistics, sums, gradients, dz, targets, conv.pixels, *sides, conv.block_stride,
            start, launches, NORMALISED=normalised, ADD=not first, SUMS=sums.shape[1],
            **sizes | {"CHUNK": wide_chunk(conv.block_channels, sizes["D"])},
        )  # fmt: skip
    chunks = conv.blocks * triton.cdiv(conv.block_channels, sizes["CHUNK"])
    # Products with fewer than 64 rows take more registers.
    programs, group = groups(chunks, 96 if sizes["D"] >= 64 else 16, sizes)
    count = parts(triton.cdiv(conv.pixels, tile), conv.channels)
    partials = scratch(weights, len(rows), conv.halves, count, conv.weight_size)
    conv_weight_back_kernel[(count, len(rows), conv.halves * programs)](
        rows, x, dz, partials, conv.pixels, *sides, conv.block_stride, triton.cdiv(conv.pixels, tile * count),
        GROUP=group, **sizes,
    )  # fmt: skip
    reduce_conv_kernel[(triton.cdiv(conv.weight_size, WIDTH), len(rows), conv.halves)](
        rows, partials, weight_gradient, len(rows), count, HALVES=conv.halves, SIZE=conv.weight_size,
        R=triton.next_power_of_2(len(rows)), T=16, WIDTH=WIDTH,
    )  # fmt: skip
