"""Batch norm: statistics from partial sums, normalising in place, and the sum of a node's two edges."""

import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.fused.common import (
    EDGE_COLUMNS,
    IDENTITY,
    KIND,
    REPEATS,
    SOURCE,
    aligned,
    launch_shape,
    parts,
    scratch,
)
from parsec.network.kernels.layout import Maps, padded, tile_pixels, tiles
from parsec.network.kernels.reference import EPSILON


@triton.jit
def statistics_kernel(
    partials, out, pixels, count, EPS: tl.constexpr, C: tl.constexpr, D: tl.constexpr, P: tl.constexpr, T: tl.constexpr
):
    """Chan's rule for the tiles' sums and squared deviations, in a fixed order."""
    row = tl.program_id(0)
    c, here = tl.arange(0, D), tl.arange(0, T)
    base = partials + row.to(tl.int64) * count * 2 * C
    # Chan, Golub and LeVeque (1979): first the mean over all tiles, then deviations within and between tiles.
    total = tl.zeros([D], tl.float32)
    for start in range(0, count, T):
        tile = start + here
        mask = (tile < count)[:, None] & (c < C)[None, :]
        total += tl.sum(tl.load(base + tile[:, None] * (2 * C) + c[None, :], mask=mask, other=0.0), 0)
    mean = total / pixels
    squares = tl.zeros([D], tl.float32)
    for start in range(0, count, T):
        tile = start + here
        mask = (tile < count)[:, None] & (c < C)[None, :]
        # The last tile may be smaller; 1 for tiles that do not exist, which would divide by zero.
        size = tl.maximum(tl.minimum(pixels - tile * P, P), 1).to(tl.float32)
        at = base + tile[:, None] * (2 * C) + c[None, :]
        distance = tl.load(at, mask=mask, other=0.0) / size[:, None] - mean[None, :]
        within = tl.load(at + C, mask=mask, other=0.0)
        squares += tl.sum(tl.where(mask, within + size[:, None] * distance * distance, 0.0), 0)
    tl.store(out + row * 2 * C + c, mean, mask=c < C)
    tl.store(out + row * 2 * C + C + c, 1.0 / tl.sqrt(squares / pixels + EPS), mask=c < C)


def statistics(partials: Tensor, pixels: int, out: Tensor) -> None:
    """See `Operations.statistics`."""
    rows, count, _, channels = partials.shape
    size = padded(channels)
    statistics_kernel[(rows,)](
        partials, out, pixels, count, EPS=EPSILON, C=channels, D=size, P=tile_pixels(channels), T=max(16, 2048 // size)
    )


@triton.jit
def normalise_kernel(z, statistics, pixels, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr):
    """Subtract the mean and divide by the deviation."""
    tile, row = tl.program_id(0), tl.program_id(1)
    pixel, c = tile * P + tl.arange(0, P), tl.arange(0, D)
    mask = (pixel < pixels)[:, None] & (c < C)[None, :]
    at = z + row.to(tl.int64) * pixels * C + pixel[:, None] * C + c[None, :]
    mean = tl.load(statistics + row * 2 * C + c, mask=c < C, other=0.0)
    scale = tl.load(statistics + row * 2 * C + C + c, mask=c < C, other=0.0)
    value = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    tl.store(at, ((value - mean[None, :]) * scale[None, :]).to(z.dtype.element_ty), mask=mask)


def normalise(z: Tensor, statistics: Tensor) -> None:
    """See `Operations.normalise`."""
    channels = z.shape[-1]
    pixels = z[0].numel() // channels
    normalise_kernel[(tiles(pixels, channels), len(z))](z, statistics, pixels, **launch_shape(channels))


@triton.jit
def join_kernel(edges, states, z, statistics, start, pixels, rows, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr):
    """Add the two edges of one child."""
    tile, child = tl.program_id(0), tl.program_id(1)
    pixel, c = tile * P + tl.arange(0, P), tl.arange(0, D)
    mask = (pixel < pixels)[:, None] & (c < C)[None, :]
    at = pixel[:, None] * C + c[None, :]
    total = tl.zeros([P, D], tl.float32)
    for slot in tl.static_range(2):
        row = 2 * child + slot
        edge = edges + row * EDGE_COLUMNS
        if tl.load(edge + KIND) == IDENTITY:
            total += tl.load(states + aligned(tl.load(edge + SOURCE), C) + at, mask=mask, other=0.0).to(tl.float32)
        else:
            # `z` holds the results of both stages; those of an edge's last stage count.
            result = (tl.load(edge + REPEATS) - 1) * rows + row
            mean = tl.load(statistics + result * 2 * C + c, mask=c < C, other=0.0)
            scale = tl.load(statistics + result * 2 * C + C + c, mask=c < C, other=0.0)
            value = tl.load(z + result * pixels * C + at, mask=mask, other=0.0).to(tl.float32)
            total += (value - mean[None, :]) * scale[None, :]
    out = states + aligned(start, C) + child.to(tl.int64) * pixels * C
    tl.store(out + at, total.to(states.dtype.element_ty), mask=mask)


def join(node: int, edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, maps: Maps) -> None:
    """See `Operations.join`."""
    grid = (tiles(maps.pixels, maps.channels), maps.children)
    start = maps.node_start(node)
    join_kernel[grid](edges, states, z, statistics, start, maps.pixels, maps.rows, **launch_shape(maps.channels))


@triton.jit
def sums_kernel(
    upstream, kinds, step, gradients, z, statistics, partials, pixels, per,
    KINDS: tl.constexpr, NORMALISED: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Sums over one part of a row's pixels of dy and dy ẑ."""
    part, row = tl.program_id(0), tl.program_id(1)
    above = tl.load(upstream + row * step)
    if above < 0:
        return
    if KINDS:  # noqa: SIM102 - one condition of the build, one of the launch
        if (KINDS >> tl.load(kinds + row * step)) & 1 == 0:
            return
    c = tl.arange(0, D)
    mean = tl.load(statistics + row * 2 * C + c, mask=c < C, other=0.0)
    scale = tl.load(statistics + row * 2 * C + C + c, mask=c < C, other=0.0)
    first = tl.zeros([D], tl.float32)
    second = tl.zeros([D], tl.float32)
    # The two sums of `before_norm`: one part per program, added up later in a fixed order.
    for index in range(per):
        pixel = (part * per + index) * P + tl.arange(0, P)
        mask = (pixel < pixels)[:, None] & (c < C)[None, :]
        at = pixel[:, None] * C + c[None, :]
        dy = tl.load(gradients + aligned(above, C) + at, mask=mask, other=0.0).to(tl.float32)
        value = tl.load(z + row.to(tl.int64) * pixels * C + at, mask=mask, other=0.0).to(tl.float32)
        if not NORMALISED:
            value = (value - mean[None, :]) * scale[None, :]
        first += tl.sum(dy, 0)
        second += tl.sum(tl.where(mask, dy * value, 0.0), 0)
    out = partials + (row * tl.num_programs(0) + part) * 2 * C
    tl.store(out + c, first, mask=c < C)
    tl.store(out + C + c, second, mask=c < C)


def gradient_sums(
    rows: Tensor, column: int, gradients: Tensor, z: Tensor, statistics: Tensor, normalised: bool, *kinds: int
) -> Tensor:
    """Sums of dy and dy ẑ [row, 2, C] that the gradient of batch norm needs.

    `column` of the rows has the first element of dy in `gradients`, or −1 for a row that is left out; with `kinds`, the
    rows are edges, and those of other kinds are left out as well.
    """
    channels = z.shape[-1]
    pixels = z[0].numel() // channels
    count = parts(tiles(pixels, channels), channels)
    partials = scratch(statistics, len(rows), count, 2, channels)
    per = triton.cdiv(tiles(pixels, channels), count)
    sums_kernel[(count, len(rows))](
        rows[:, column], rows[:, layout.KIND], rows.stride(0), gradients, z, statistics, partials, pixels, per,
        KINDS=sum(1 << kind for kind in kinds), NORMALISED=normalised, **launch_shape(channels),
    )  # fmt: skip
    return partials.sum(1)
