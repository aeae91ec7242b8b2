"""Maximum and mean of 3 × 3 pixels, and the identity's backward pass."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.fused.common import (
    AVERAGE_POOL,
    EDGE_COLUMNS,
    IDENTITY,
    KIND,
    MAX_POOL,
    SOURCE,
    STRIDE,
    UPSTREAM,
    aligned,
    before_norm,
    halved,
    inside,
    norm,
    pixels_of_tile,
    source_sides,
    write,
)
from parsec.network.kernels.fused.norm import gradient_sums
from parsec.network.kernels.layout import Maps, tile_pixels, tiles

CHUNK = 16
"""Channels of a program."""


@triton.jit
def largest(base, image, y, across, mask, h, w, stride, c, POSITION: tl.constexpr, C: tl.constexpr):
    """Largest number of 3 × 3 windows, and with `POSITION` the first position that holds it."""
    y, across = (y * stride - 1)[:, None], (across * stride - 1)[:, None]
    at = ((image[:, None] * h + y) * w + across) * C + c[None, :]
    result = tl.full(mask.shape, float("-inf"), tl.float32)
    position = tl.full(mask.shape, -1, tl.int32)
    for tap in tl.static_range(9):
        here = mask & inside(y + tap // 3, h) & inside(across + tap % 3, w)
        value = tl.load(base + (at + (tap // 3 * w + tap % 3) * C), mask=here, other=float("-inf")).to(tl.float32)
        if POSITION:
            # Of equal numbers the first position wins, and NaN wins over all, as in torch's `max_pool2d`.
            larger = (value > result) | (value != value)
            result, position = tl.where(larger, value, result), tl.where(larger, tap, position)
        else:
            result = tl.maximum(result, value, propagate_nan=tl.PropagateNan.ALL)
    return result, position


@triton.jit
def average(base, image, y, across, mask, h, w, stride, c, C: tl.constexpr):
    """Mean of the pixels of 3 × 3 windows that are inside the map, as in DARTS (`count_include_pad=False`)."""
    y, across = (y * stride - 1)[:, None], (across * stride - 1)[:, None]
    at = ((image[:, None] * h + y) * w + across) * C + c[None, :]
    total = tl.zeros(mask.shape, tl.float32)
    for tap in tl.static_range(9):
        here = mask & inside(y + tap // 3, h) & inside(across + tap % 3, w)
        total += tl.load(base + (at + (tap // 3 * w + tap % 3) * C), mask=here, other=0.0).to(tl.float32)
    return total


@triton.jit
def window_size(y, across, h, w, stride):
    """Pixels of 3 × 3 windows that are inside the map."""
    y, across = y * stride - 1, across * stride - 1
    rows = tl.minimum(y + 3, h) - tl.maximum(y, 0)
    return (rows * (tl.minimum(across + 3, w) - tl.maximum(across, 0))).to(tl.float32)


@triton.jit(do_not_specialize=["pixels", "height", "width", "out_height", "out_width"])
def pool_kernel(
    edges, states, z, partials, pixels, height, width, out_height, out_width,
    C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One tile of one edge, some channels."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    kind = tl.load(edge + KIND)
    if (kind != MAX_POOL) & (kind != AVERAGE_POOL):
        return
    stride = tl.load(edge + STRIDE).to(tl.int32)
    h, w = source_sides(stride, height, width, out_height, out_width)
    pixel, ok, image, y, across = pixels_of_tile(tile, pixels, out_height, out_width, P)
    c = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK)
    base, mask = states + aligned(tl.load(edge + SOURCE), C), ok[:, None] & (c < C)[None, :]
    if kind == MAX_POOL:
        result, _ = largest(base, image, y, across, mask, h, w, stride, c, False, C)
    else:
        total = average(base, image, y, across, mask, h, w, stride, c, C)
        result = total / window_size(y, across, h, w, stride)[:, None]
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * C
    write(z + row.to(tl.int64) * pixels * C, sums, result, pixel, ok, c, c < C, tile, pixels, C, P)


def pool(edges: Tensor, states: Tensor, z: Tensor, partials: Tensor, maps: Maps) -> None:
    """See `Operations.pool`."""
    sides = (maps.height, maps.width, maps.out_height, maps.out_width)
    grid = (tiles(maps.pixels, maps.channels), maps.rows, triton.cdiv(maps.channels, CHUNK))
    pool_kernel[grid](
        edges, states, z, partials, maps.pixels, *sides, C=maps.channels, P=tile_pixels(maps.channels), CHUNK=CHUNK
    )


@triton.jit(do_not_specialize=["pixels", "height", "width", "out_height", "out_width"])
def window_gradients_kernel(
    edges, states, z, statistics, sums, gradients, shares, positions, pixels, height, width, out_height, out_width,
    SUMS: tl.constexpr, C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Gradient of every window: for the position of its maximum, or for each of its pixels."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    kind = tl.load(edge + KIND)
    if (kind != MAX_POOL) & (kind != AVERAGE_POOL):
        return
    stride = tl.load(edge + STRIDE).to(tl.int32)
    h, w = source_sides(stride, height, width, out_height, out_width)
    pixel, ok, image, y, across = pixels_of_tile(tile, pixels, out_height, out_width, P)
    c = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK)
    mask, at = ok[:, None] & (c < C)[None, :], pixel[:, None] * C + c[None, :]
    shift, row = row.to(tl.int64) * pixels * C, row * 2 * C
    mean, scale, first, second = norm(statistics + row, sums + row * SUMS, pixels, False, c, c < C, SUMS, C)
    above = gradients + aligned(tl.load(edge + UPSTREAM), C)
    share = before_norm(above, z + shift, mean, scale, first, second, at, mask)
    if kind == MAX_POOL:
        # Positions of the maxima are found again, because storing them in the forward pass would take memory.
        base = states + aligned(tl.load(edge + SOURCE), C)
        _, position = largest(base, image, y, across, mask, h, w, stride, c, True, C)
        tl.store(positions + shift + at, position.to(tl.int8), mask=mask)
    else:
        share /= tl.where(ok, window_size(y, across, h, w, stride), 1.0)[:, None]
    tl.store(shares + shift + at, share.to(shares.dtype.element_ty), mask=mask)


@triton.jit(do_not_specialize=["batch", "height", "width", "out_height", "out_width", "start"])
def pool_back_kernel(
    edges, shares, positions, gradients, batch, height, width, out_height, out_width, start,
    C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """Add to one tile of an edge's source, some channels, what the windows around its pixels hand on."""
    tile, row = tl.program_id(0), start + tl.program_id(1) * 2
    edge = edges + row * EDGE_COLUMNS
    kind = tl.load(edge + KIND)
    if (kind != MAX_POOL) & (kind != AVERAGE_POOL) & (kind != IDENTITY):
        return
    stride = tl.load(edge + STRIDE).to(tl.int32)
    h, w = source_sides(stride, height, width, out_height, out_width)
    if tile * P >= batch * h * w:
        return
    pixel, ok, image, y, across = pixels_of_tile(tile, batch * h * w, h, w, P)
    c = tl.program_id(2) * CHUNK + tl.arange(0, CHUNK)
    mask, at = ok[:, None] & (c < C)[None, :], pixel[:, None] * C + c[None, :]
    target = gradients + aligned(tl.load(edge + SOURCE), C)
    total = tl.load(target + at, mask=mask, other=0.0).to(tl.float32)
    if kind == IDENTITY:
        total += tl.load(gradients + aligned(tl.load(edge + UPSTREAM), C) + at, mask=mask, other=0.0).to(tl.float32)
    else:
        shift = row.to(tl.int64) * batch * out_height * out_width * C
        first = (image * out_height * out_width * C)[:, None] + c[None, :]
        # Every pixel gathers from the windows that cover it, in a fixed order and without atomics.
        for tap in tl.static_range(9):
            down, right = (y + 1 - tap // 3)[:, None], (across + 1 - tap % 3)[:, None]
            down, right = tl.where(stride == 2, halved(down), down), tl.where(stride == 2, halved(right), right)
            here = mask & inside(down, out_height) & inside(right, out_width)
            window = first + (down * out_width + right) * C
            share = tl.load(shares + shift + window, mask=here, other=0.0).to(tl.float32)
            if kind == MAX_POOL:
                share = tl.where(tl.load(positions + shift + window, mask=here, other=-1) == tap, share, 0.0)
            total += share
    tl.store(target + at, total.to(gradients.dtype.element_ty), mask=mask)


def pool_back(edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, maps: Maps) -> None:
    """See `Operations.pool_back`; the two edges of a child are added to their sources one after the other."""
    pools = 1 << layout.MAX_POOL | 1 << layout.AVERAGE_POOL
    sums = gradient_sums(edges, layout.UPSTREAM, gradients, z, statistics, 0, pools)
    shares, positions = torch.empty_like(z), torch.empty_like(z, dtype=torch.int8)
    sides, chunks = (maps.height, maps.width, maps.out_height, maps.out_width), triton.cdiv(maps.channels, CHUNK)
    shape = {"C": maps.channels, "P": 128, "CHUNK": CHUNK}
    window_gradients_kernel[(triton.cdiv(maps.pixels, shape["P"]), maps.rows, chunks)](
        edges, states, z, statistics, sums, gradients, shares, positions, maps.pixels, *sides,
        SUMS=sums.shape[1], **shape,
    )  # fmt: skip
    sources = triton.cdiv(maps.batch * maps.height * maps.width, shape["P"])
    # Both edges of a child may read the same source, so they are added one after the other.
    for start in range(2):
        pool_back_kernel[(sources, maps.children, chunks)](
            edges, shares, positions, gradients, maps.batch, *sides, start, **shape
        )
