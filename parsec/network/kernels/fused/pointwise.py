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
from parsec.network.kernels.layout import Mixing, padded, tile_pixels, tiles

MIX_SOURCE, MIX_TARGET = tl.constexpr(layout.MIX_SOURCE), tl.constexpr(layout.MIX_TARGET)
MIX_UPSTREAM, MIX_EVEN = tl.constexpr(layout.MIX_UPSTREAM), tl.constexpr(layout.MIX_EVEN)
MIX_COLUMNS = tl.constexpr(layout.MIX_COLUMNS)


def _sizes(mixing: Mixing) -> dict[str, int]:
    """Compile-time sizes of a mixing: a program handles one half of the channels, tiles are those of all channels."""
    half = mixing.channels // mixing.halves
    return {
        "HALVES": mixing.halves,
        "BLOCKS": mixing.blocks,
        "BLOCK": mixing.block_channels,
        "ROW": mixing.channels,
        "C": half,
        "P": tile_pixels(mixing.channels),
        "D": padded(half),
        "CHUNK": chunk(mixing.block_channels),
        "num_warps": warps(half),
        "num_stages": 2,
    }


@triton.jit
def mix_kernel(
    rows, weights, x, z, partials, pixels, height, width, out_height, out_width, block_stride,
    HALVES: tl.constexpr, BLOCKS: tl.constexpr, BLOCK: tl.constexpr, ROW: tl.constexpr, C: tl.constexpr,
    P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One tile of one half of a row."""
    tile, row, half = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    source = tl.load(rows + row * MIX_COLUMNS + MIX_SOURCE)
    if source < 0:
        return
    weight = weights + tl.load(rows + row * MIX_COLUMNS + MIX_EVEN + half)
    pixel, ok, image, y, across = places(tile, pixels, out_height, out_width, P)
    y, across = y * HALVES + half, across * HALVES + half
    here = ok & (y < height) & (across < width)
    at = ((image * height + y) * width + across) * BLOCK
    out = tl.arange(0, D)
    total = tl.zeros([P, D], tl.float32)
    for block in range(BLOCKS):
        base = x + aligned(source, BLOCK) + block * aligned(tl.cast(block_stride, tl.int64), BLOCK)
        for start in range(0, BLOCK, CHUNK):
            c = start + tl.arange(0, CHUNK)
            value = tl.load(base + at[:, None] + c[None, :], mask=here[:, None] & (c < BLOCK)[None, :], other=0.0)
            value = rectified(value.to(tl.float32)).to(x.dtype.element_ty)
            place = out[None, :] * (BLOCKS * BLOCK) + block * BLOCK + c[:, None]
            w = tl.load(weight + place, mask=(c < BLOCK)[:, None] & (out < C)[None, :], other=0.0)
            total = tl.dot(value, w.to(x.dtype.element_ty), total, input_precision="ieee")
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * ROW + half * C
    write(z + row.to(tl.int64) * pixels * ROW + half * C, sums, total, pixel, ok, tile, pixels, ROW, C, P, D)


def mix(rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, partials: Tensor, mixing: Mixing) -> None:
    """See `Operations.mix`."""
    grid = (tiles(mixing.pixels, mixing.channels), len(rows), mixing.halves)
    sides = (mixing.height, mixing.width, mixing.out_height, mixing.out_width)
    mix_kernel[grid](rows, weights, x, z, partials, mixing.pixels, *sides, mixing.block_stride, **_sizes(mixing))


@triton.jit
def mix_back_kernel(
    rows, weights, x, z, statistics, sums, gradients, targets, partials,
    pixels, height, width, out_height, out_width, block_stride, first, step, per,
    NORMALISED: tl.constexpr, HALVES: tl.constexpr, BLOCKS: tl.constexpr, BLOCK: tl.constexpr, ROW: tl.constexpr,
    C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Input and weight gradients of some input channels, one half, one part of a row's pixels."""
    part, row = tl.program_id(0), first + tl.program_id(1) * step
    chunks: tl.constexpr = (BLOCK + CHUNK - 1) // CHUNK
    half = tl.program_id(2) // (BLOCKS * chunks)
    block = tl.program_id(2) // chunks % BLOCKS
    c = tl.program_id(2) % chunks * CHUNK + tl.arange(0, CHUNK)
    entry = rows + row * MIX_COLUMNS
    source = tl.load(entry + MIX_SOURCE)
    if source < 0:
        return
    shift = block * aligned(tl.cast(block_stride, tl.int64), BLOCK)
    target = targets + aligned(tl.load(entry + MIX_TARGET), BLOCK) + shift
    source = x + aligned(source, BLOCK) + shift
    above = gradients + aligned(tl.load(entry + MIX_UPSTREAM), ROW) + half * C
    result = z + row.to(tl.int64) * pixels * ROW + half * C
    moments, totals = statistics + row * 2 * ROW + half * C, sums + row * 2 * ROW + half * C
    out = tl.arange(0, D)
    place = out[:, None] * (BLOCKS * BLOCK) + block * BLOCK + c[None, :]
    chosen = (out < C)[:, None] & (c < BLOCK)[None, :]
    weight = tl.load(weights + tl.load(entry + MIX_EVEN + half) + place, mask=chosen, other=0.0)
    found = tl.zeros([D, CHUNK], tl.float32)
    for index in range(per):
        pixel, ok, image, y, across = places(part * per + index, pixels, out_height, out_width, P)
        dz = before_norm(above, result, moments, totals, pixel, ok, pixels, NORMALISED, ROW, C, D)
        dz = dz.to(x.dtype.element_ty)
        y, across = y * HALVES + half, across * HALVES + half
        mask = (ok & (y < height) & (across < width))[:, None] & (c < BLOCK)[None, :]
        at = ((image * height + y) * width + across)[:, None] * BLOCK + c[None, :]
        value = tl.load(source + at, mask=mask, other=0.0)
        dx = tl.dot(dz, weight.to(x.dtype.element_ty), input_precision="ieee")
        old = tl.load(target + at, mask=mask, other=0.0).to(tl.float32)
        tl.store(target + at, (old + tl.where(value > 0, dx, 0.0)).to(targets.dtype.element_ty), mask=mask)
        value = rectified(value.to(tl.float32)).to(x.dtype.element_ty)
        found = tl.dot(tl.trans(dz), value, found, input_precision="ieee")
    size = C * BLOCKS * BLOCK
    slot = (row.to(tl.int64) * HALVES + half) * tl.num_programs(0) + part
    tl.store(partials + slot * size + place, found, mask=chosen)


def mix_back(
    rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, targets: Tensor,
    mixing: Mixing, normalised: bool,
) -> Tensor:  # fmt: skip
    """See `Operations.mix_back`; picks of one child are added to their target one launch after the other."""
    sums = gradient_sums(rows, layout.MIX_UPSTREAM, gradients, z, statistics, normalised)
    sizes = _sizes(mixing)
    count = parts(tiles(mixing.pixels, mixing.channels), mixing.channels)
    partials = scratch(weights, len(rows), mixing.halves, count, mixing.weight_size)
    per = triton.cdiv(tiles(mixing.pixels, mixing.channels), count)
    launches = 1 if normalised else 2
    chunks = mixing.halves * mixing.blocks * triton.cdiv(mixing.block_channels, sizes["CHUNK"])
    sides = (mixing.height, mixing.width, mixing.out_height, mixing.out_width)
    for first in range(launches):
        mix_back_kernel[(count, len(rows) // launches, chunks)](
            rows, weights, x, z, statistics, sums, gradients, targets, partials,
            mixing.pixels, *sides, mixing.block_stride, first, launches, per, NORMALISED=normalised, **sizes,
        )  # fmt: skip
    return partials
