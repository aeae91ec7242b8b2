"""Batch norm: statistics from partial sums, normalising in place, and the sum of a node's two edges."""

import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels.fused.common import (
    CONVOLVE,
    EDGE_COLUMNS,
    IDENTITY,
    KIND,
    REPEATS,
    SOURCE,
    aligned,
    back_shape,
    scratch,
)
from parsec.network.kernels.layout import Maps, tile_pixels
from parsec.network.kernels.reference import EPSILON


@triton.jit(do_not_specialize=["pixels", "count"])
def statistics_kernel(
    partials, out, pixels, count,
    EPS: tl.constexpr, C: tl.constexpr, CHUNK: tl.constexpr, P: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    """Chan's rule for the tiles' sums and squared deviations of some channels of a row, in a fixed order."""
    row, c, here = tl.program_id(0), tl.program_id(1) * CHUNK + tl.arange(0, CHUNK), tl.arange(0, T)
    base = partials + row.to(tl.int64) * count * 2 * C
    # Chan, Golub and LeVeque (1979): first the mean over all tiles, then deviations within and between tiles.
    total = tl.zeros([CHUNK], tl.float32)
    for start in range(0, count, T):
        tile = start + here
        mask = (tile < count)[:, None] & (c < C)[None, :]
        total += tl.sum(tl.load(base + tile[:, None] * (2 * C) + c[None, :], mask=mask, other=0.0), 0)
    mean = total / pixels
    squares = tl.zeros([CHUNK], tl.float32)
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
    # A launch waits for its slowest program, so that each takes few channels and most tiles at once.
    size, most = 16, 256
    statistics_kernel[(rows, triton.cdiv(channels, size))](
        partials, out, pixels, count, EPS=EPSILON, C=channels, CHUNK=size, P=tile_pixels(channels),
        T=min(most, triton.next_power_of_2(count)),
    )  # fmt: skip


@triton.jit(do_not_specialize=["pixels"])
def normalise_kernel(
    edges, z, statistics, pixels, EDGES: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr
):
    """Subtract the mean and divide by the deviation."""
    tile, row = tl.program_id(0), tl.program_id(1)
    if EDGES:
        edge = edges + row * EDGE_COLUMNS
        if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) < 2):
            return
    pixel, c = tile * P + tl.arange(0, P), tl.arange(0, D)
    mask = (pixel < pixels)[:, None] & (c < C)[None, :]
    at = z + row.to(tl.int64) * pixels * C + pixel[:, None] * C + c[None, :]
    mean = tl.load(statistics + row * 2 * C + c, mask=c < C, other=0.0)
    scale = tl.load(statistics + row * 2 * C + C + c, mask=c < C, other=0.0)
    value = tl.load(at, mask=mask, other=0.0).to(tl.float32)
    tl.store(at, ((value - mean[None, :]) * scale[None, :]).to(z.dtype.element_ty), mask=mask)


def normalise(z: Tensor, statistics: Tensor, edges: Tensor | None) -> None:
    """See `Operations.normalise`."""
    channels = z.shape[-1]
    pixels = z[0].numel() // channels
    shape = back_shape(channels)
    normalise_kernel[(triton.cdiv(pixels, shape["P"]), len(z))](
        statistics if edges is None else edges, z, statistics, pixels, EDGES=edges is not None, **shape
    )


@triton.jit(do_not_specialize=["start", "pixels", "rows"])
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
    shape = back_shape(maps.channels)
    grid = (triton.cdiv(maps.pixels, shape["P"]), maps.children)
    join_kernel[grid](edges, states, z, statistics, maps.node_start(node), maps.pixels, maps.rows, **shape)


@triton.jit(do_not_specialize=["step", "pixels", "per"])
def sums_kernel(
    upstream, edges, step, gradients, z, statistics, partials, pixels, per,
    KINDS: tl.constexpr, NORMALISED: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """Sums over one part of a row's pixels of dy and dy ẑ."""
    part, row = tl.program_id(0), tl.program_id(1)
    above = tl.load(upstream + row * step)
    if above < 0:
        return
    if KINDS:  # noqa: SIM102 - one condition of the build, one of the launch
        if (KINDS >> tl.load(edges + row * step + KIND)) & 1 == 0:
            return
    normalised = NORMALISED == 1
    if NORMALISED > 1:
        normalised = tl.load(edges + row * step + REPEATS) >= NORMALISED
    c = tl.arange(0, D)
    mean = tl.where(normalised, 0.0, tl.load(statistics + row * 2 * C + c, mask=c < C, other=0.0))
    scale = tl.where(normalised, 1.0, tl.load(statistics + row * 2 * C + C + c, mask=c < C, other=0.0))
    first = tl.zeros([P, D], tl.float32)
    second = tl.zeros([P, D], tl.float32)
    for index in range(per):
        pixel = (part * per + index) * P + tl.arange(0, P)
        mask = (pixel < pixels)[:, None] & (c < C)[None, :]
        at = pixel[:, None] * C + c[None, :]
        dy = tl.load(gradients + aligned(above, C) + at, mask=mask, other=0.0).to(tl.float32)
        value = tl.load(z + row.to(tl.int64) * pixels * C + at, mask=mask, other=0.0).to(tl.float32)
        first += dy
        second += dy * (value - mean[None, :])
    # Lanes are added up once, behind the loop; programs by those that need the sums, in a fixed order.
    out = partials + (row * tl.num_programs(0) + part) * 2 * C
    tl.store(out + c, tl.sum(first, 0), mask=c < C)
    tl.store(out + C + c, tl.sum(second, 0) * scale, mask=c < C)


SUMS = 32
"""Parts of the sums of a row, at most."""


def gradient_sums(
    rows: Tensor, column: int, gradients: Tensor, z: Tensor, statistics: Tensor, normalised: int, kinds: int
) -> Tensor:
    """Sums of dy and dy ẑ that the gradient of batch norm needs, [row, part, 2, C]; see `norm`.

    `column` of the rows has the first element of dy in `gradients`, or −1 for a row that is left out; with `kinds` (a
    bit each), the rows are edges, and those of other kinds are left out as well. `normalised`: `z` holds results
    before batch norm (0), after it (1), or after it only in edges with two stages (2).
    """
    channels = z.shape[-1]
    pixels, shape = z[0].numel() // channels, back_shape(channels)
    count = min(SUMS, 1 << (triton.cdiv(pixels, shape["P"]).bit_length() - 1))
    partials = scratch(statistics, len(rows), count, 2, channels)
    sums_kernel[(count, len(rows))](
        rows[:, column], rows, rows.stride(0), gradients, z, statistics, partials, pixels,
        triton.cdiv(pixels, shape["P"] * count), KINDS=kinds, NORMALISED=normalised, **shape,
    )  # fmt: skip
    return partials
