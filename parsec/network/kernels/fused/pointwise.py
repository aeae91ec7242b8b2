"""ReLU and 1 × 1 convolution, or factorised reduction: forward and backward."""

import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.fused.common import (
    aligned,
    before_norm,
    chunk,
    parts,
    places,
    rectified,
    scratch,
    warps,
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
    }


@triton.jit
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
    pixel, ok, image, y, across = places(tile, pixels, out_height, out_width, P)
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
            value = rectified(value.to(tl.float32)).to(x.dtype.element_ty)
            place = out[None, :] * (BLOCKS * BLOCK) + block * BLOCK + c[:, None]
            w = tl.load(weight + place, mask=(c < BLOCK)[:, None] & (out < C)[None, :], other=0.0)
            # `ieee`: float32 is not rounded to TF32, so that results match the executor `sequential`.
            total = tl.dot(value, w.to(x.dtype.element_ty), total, input_precision="ieee")
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * ROW + half * C
    write(z + row.to(tl.int64) * pixels * ROW + half * C, sums, total, pixel, ok, tile, pixels, ROW, C, P, D)


def conv1x1(rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, partials: Tensor, conv: Conv1x1) -> None:
    """See `Operations.conv1x1`."""
    grid = (tiles(conv.pixels, conv.channels), len(rows), conv.halves)
    sides = (conv.height, conv.width, conv.out_height, conv.out_width)
    conv1x1_kernel[grid](rows, weights, x, z, partials, conv.pixels, *sides, conv.block_stride, **_sizes(conv))


@triton.jit
def conv1x1_back_kernel(
    rows, weights, x, z, statistics, sums, gradients, targets, partials,
    pixels, height, width, out_height, out_width, block_stride, first, step, per,
    NORMALISED: tl.constexpr, HALVES: tl.constexpr, BLOCKS: tl.constexpr, BLOCK: tl.constexpr, ROW: tl.constexpr,
    C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Input and weight gradients of some input channels, one half, one part of a row's pixels."""
    # Rows of one launch are `step` apart, so that no two of them add to one target at the same time.
    part, row = tl.program_id(0), first + tl.program_id(1) * step
    chunks: tl.constexpr = (BLOCK + CHUNK - 1) // CHUNK
    half = tl.program_id(2) // (BLOCKS * chunks)
    block = tl.program_id(2) // chunks % BLOCKS
    c = tl.program_id(2) % chunks * CHUNK + tl.arange(0, CHUNK)
    entry = rows + row * CONV_COLUMNS
    source = tl.load(entry + CONV_SOURCE)
    if source < 0:
        return
    shift = block * aligned(tl.cast(block_stride, tl.int64), BLOCK)
    target = targets + aligned(tl.load(entry + CONV_TARGET), BLOCK) + shift
    source = x + aligned(source, BLOCK) + shift
    above = gradients + aligned(tl.load(entry + CONV_UPSTREAM), ROW) + half * C
    result = z + row.to(tl.int64) * pixels * ROW + half * C
    moments, totals = statistics + row * 2 * ROW + half * C, sums + row * 2 * ROW + half * C
    out = tl.arange(0, D)
    place = out[:, None] * (BLOCKS * BLOCK) + block * BLOCK + c[None, :]
    chosen = (out < C)[:, None] & (c < BLOCK)[None, :]
    weight = tl.load(weights + tl.load(entry + CONV_EVEN + half) + place, mask=chosen, other=0.0)
    dw = tl.zeros([D, CHUNK], tl.float32)
    for index in range(per):
        pixel, ok, image, y, across = places(part * per + index, pixels, out_height, out_width, P)
        dz = before_norm(above, result, moments, totals, pixel, ok, pixels, NORMALISED, ROW, C, D)
        dz = dz.to(x.dtype.element_ty)
        y, across = y * HALVES + half, across * HALVES + half
        mask = (ok & (y < height) & (across < width))[:, None] & (c < BLOCK)[None, :]
        at = ((image * height + y) * width + across)[:, None] * BLOCK + c[None, :]
        value = tl.load(source + at, mask=mask, other=0.0)
        dx = tl.dot(dz, weight.to(x.dtype.element_ty), input_precision="ieee")
        # The ReLU comes before the convolution, so that its gradient is masked by the sign of the input.
        old = tl.load(target + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(target + at, (old + tl.where(value > 0, dx, 0.0)).to(targets.dtype.element_ty), mask=mask)
        value = rectified(value.to(tl.float32)).to(x.dtype.element_ty)
        dw = tl.dot(tl.trans(dz), value, dw, input_precision="ieee")
    size = C * BLOCKS * BLOCK
    # A slot per part instead of atomic additions, whose order, and with it the rounding, would differ between runs.
    slot = (row.to(tl.int64) * HALVES + half) * tl.num_programs(0) + part
    tl.store(partials + slot * size + place, dw, mask=chosen)


def conv1x1_back(
    rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, targets: Tensor,
    conv: Conv1x1, normalised: bool,
) -> Tensor:  # fmt: skip
    """See `Operations.conv1x1_back`; edges of one child are added to their target one launch after the other."""
    sums = gradient_sums(rows, layout.CONV_UPSTREAM, gradients, z, statistics, normalised)
    sizes = _sizes(conv)
    count = parts(tiles(conv.pixels, conv.channels), conv.channels)
    partials = scratch(weights, len(rows), conv.halves, count, conv.weight_size)
    per = triton.cdiv(tiles(conv.pixels, conv.channels), count)
    # Projections have one row per child. Of factorised reductions a child may have two with the same source.
    launches = 1 if normalised else 2
    chunks = conv.halves * conv.blocks * triton.cdiv(conv.block_channels, sizes["CHUNK"])
    sides = (conv.height, conv.width, conv.out_height, conv.out_width)
    for first in range(launches):
        conv1x1_back_kernel[(count, len(rows) // launches, chunks)](
            rows, weights, x, z, statistics, sums, gradients, targets, partials,
            conv.pixels, *sides, conv.block_stride, first, launches, per, NORMALISED=normalised, **sizes,
        )  # fmt: skip
    return partials
