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
    launch_shape,
    places,
    source_sides,
    write,
)
from parsec.network.kernels.fused.norm import gradient_sums
from parsec.network.kernels.layout import Maps, tiles


@triton.jit
def windows(base, image, y, across, ok, h, w, stride, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr):
    """Of 3 × 3 windows: largest number, the first position that holds it, mean and number of pixels inside the map."""
    c = tl.arange(0, D)
    largest, total = tl.full([P, D], float("-inf"), tl.float32), tl.zeros([P, D], tl.float32)
    position, count = tl.full([P, D], -1, tl.int32), tl.zeros([P], tl.float32)
    for tap in range(9):
        down, right = y * stride + tap // 3 - 1, across * stride + tap % 3 - 1
        here = ok & (down >= 0) & (down < h) & (right >= 0) & (right < w)
        mask = here[:, None] & (c < C)[None, :]
        at = ((image * h + down) * w + right)[:, None] * C + c[None, :]
        value = tl.load(base + at, mask=mask, other=0.0).to(tl.float32)
        # Of equal numbers the first position wins, and NaN wins over all, as in torch's `max_pool2d`.
        larger = mask & ((value > largest) | (value != value))
        largest, position = tl.where(larger, value, largest), tl.where(larger, tap, position)
        total += value
        count += here.to(tl.float32)
    # Only pixels inside the map count, as in DARTS (`count_include_pad=False`); 1 in rows beyond the last pixel.
    count = tl.maximum(count, 1.0)
    return largest, position, total / count[:, None], count


@triton.jit
def pool_kernel(
    edges, states, z, partials, pixels, height, width, out_height, out_width,
    C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """One tile of one edge."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    kind = tl.load(edge + KIND)
    if (kind != MAX_POOL) & (kind != AVERAGE_POOL):
        return
    stride = tl.load(edge + STRIDE).to(tl.int32)
    h, w = source_sides(stride, height, width, out_height, out_width)
    pixel, ok, image, y, across = places(tile, pixels, out_height, out_width, P)
    largest, _, mean, _ = windows(
        states + aligned(tl.load(edge + SOURCE), C), image, y, across, ok, h, w, stride, C, P, D
    )
    result = tl.where(kind == MAX_POOL, largest, mean)
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * C
    write(z + row.to(tl.int64) * pixels * C, sums, result, pixel, ok, tile, pixels, C, C, P, D)


def pool(edges: Tensor, states: Tensor, z: Tensor, partials: Tensor, maps: Maps) -> None:
    """See `Operations.pool`."""
    sides = (maps.height, maps.width, maps.out_height, maps.out_width)
    grid = (tiles(maps.pixels, maps.channels), maps.rows)
    pool_kernel[grid](edges, states, z, partials, maps.pixels, *sides, **launch_shape(maps.channels))


@triton.jit
def window_gradients_kernel(
    edges, states, z, statistics, sums, gradients, shares, positions, pixels, height, width, out_height, out_width,
    C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Gradient of every window: for the position of its maximum, or for each of its pixels."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    kind = tl.load(edge + KIND)
    if (kind != MAX_POOL) & (kind != AVERAGE_POOL):
        return
    stride = tl.load(edge + STRIDE).to(tl.int32)
    h, w = source_sides(stride, height, width, out_height, out_width)
    pixel, ok, image, y, across = places(tile, pixels, out_height, out_width, P)
    # Positions of the maxima are recomputed, because storing them in the forward pass would take memory.
    _, position, _, count = windows(
        states + aligned(tl.load(edge + SOURCE), C), image, y, across, ok, h, w, stride, C, P, D
    )
    shift, row = row.to(tl.int64) * pixels * C, row * 2 * C
    above = gradients + aligned(tl.load(edge + UPSTREAM), C)
    dz = before_norm(above, z + shift, statistics + row, sums + row, pixel, ok, pixels, False, C, C, D)
    share = tl.where(kind == MAX_POOL, dz, dz / count[:, None])
    c = tl.arange(0, D)
    mask, at = ok[:, None] & (c < C)[None, :], pixel[:, None] * C + c[None, :]
    tl.store(shares + shift + at, share.to(shares.dtype.element_ty), mask=mask)
    tl.store(positions + shift + at, position.to(tl.int8), mask=mask)


@triton.jit
def pool_back_kernel(
    edges, shares, positions, gradients, batch, height, width, out_height, out_width, start,
    C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Add to one tile of an edge's source what the windows around its pixels hand on."""
    tile, row = tl.program_id(0), start + tl.program_id(1) * 2
    edge = edges + row * EDGE_COLUMNS
    kind = tl.load(edge + KIND)
    if (kind != MAX_POOL) & (kind != AVERAGE_POOL) & (kind != IDENTITY):
        return
    stride = tl.load(edge + STRIDE).to(tl.int32)
    h, w = source_sides(stride, height, width, out_height, out_width)
    pixel, ok, image, y, across = places(tile, batch * h * w, h, w, P)
    c = tl.arange(0, D)
    mask, at = ok[:, None] & (c < C)[None, :], pixel[:, None] * C + c[None, :]
    target = gradients + aligned(tl.load(edge + SOURCE), C)
    total = tl.load(target + at, mask=mask, other=0.0).to(tl.float32)
    if kind == IDENTITY:
        total += tl.load(gradients + aligned(tl.load(edge + UPSTREAM), C) + at, mask=mask, other=0.0).to(tl.float32)
    else:
        shift = row.to(tl.int64) * batch * out_height * out_width * C
        # Every pixel gathers from the windows that cover it, in a fixed order and without atomics.
        for tap in range(9):
            down, right = y + 1 - tap // 3, across + 1 - tap % 3
            here = ok & (down >= 0) & (right >= 0) & ((down | right) & (stride - 1) == 0)
            down, right = down >> (stride - 1), right >> (stride - 1)
            here = (here & (down < out_height) & (right < out_width))[:, None] & (c < C)[None, :]
            window = shift + ((image * out_height + down) * out_width + right)[:, None] * C + c[None, :]
            share = tl.load(shares + window, mask=here, other=0.0).to(tl.float32)
            chosen = tl.load(positions + window, mask=here, other=-1) == tap
            total += tl.where((kind == AVERAGE_POOL) | chosen, share, 0.0)
    tl.store(target + at, total.to(gradients.dtype.element_ty), mask=mask)


def pool_back(edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, maps: Maps) -> None:
    """See `Operations.pool_back`; the two edges of a child are added to their sources one after the other."""
    sums = gradient_sums(edges, layout.UPSTREAM, gradients, z, statistics, False, layout.MAX_POOL, layout.AVERAGE_POOL)
    shares, positions = torch.empty_like(z), torch.empty_like(z, dtype=torch.int8)
    shape, sides = launch_shape(maps.channels), (maps.height, maps.width, maps.out_height, maps.out_width)
    window_gradients_kernel[(tiles(maps.pixels, maps.channels), maps.rows)](
        edges, states, z, statistics, sums, gradients, shares, positions, maps.pixels, *sides, **shape
    )
    sources = tiles(maps.batch * maps.height * maps.width, maps.channels)
    # Both edges of a child may read the same source, so they are added one after the other.
    for start in range(2):
        pool_back_kernel[(sources, maps.children)](
            edges, shares, positions, gradients, maps.batch, *sides, start, **shape
        )
