"""Functions that the kernels share: pixels of a program, writing of results, backward pass of batch norm.

Sizes that only choose addresses are run-time arguments, so that one build serves every resolution. `C` is the number
of channels, `D` the next power of two that a matrix product takes (channels beyond C are masked), `P` the pixels of a
tile, `CHUNK` the channels that are read at a time.
"""

import torch
import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.layout import padded, tile_pixels

KIND, SOURCE, STRIDE = tl.constexpr(layout.KIND), tl.constexpr(layout.SOURCE), tl.constexpr(layout.STRIDE)
KERNEL, DILATION = tl.constexpr(layout.KERNEL), tl.constexpr(layout.DILATION)
REPEATS, STAGE_COLUMNS = tl.constexpr(layout.REPEATS), tl.constexpr(layout.STAGE)
UPSTREAM, DEPTHWISE = tl.constexpr(layout.UPSTREAM), tl.constexpr(layout.DEPTHWISE)
POINTWISE, EDGE_COLUMNS = tl.constexpr(layout.POINTWISE), tl.constexpr(layout.EDGE_COLUMNS)
MAX_POOL, AVERAGE_POOL = tl.constexpr(layout.MAX_POOL), tl.constexpr(layout.AVERAGE_POOL)
IDENTITY, CONVOLVE = tl.constexpr(layout.IDENTITY), tl.constexpr(layout.CONVOLVE)


def chunk(channels: int) -> int:
    """Channels that a kernel reads at a time: as many as waste little."""
    return 32 if channels % 32 == 0 else 16


def warps(channels: int) -> int:
    """Warps of a program."""
    return 4 if padded(channels) <= 64 else 8


def parts(count: int, channels: int) -> int:
    """Parts in which programs of backward kernels sum over `count` tiles: the fewer, the larger a weight gradient."""
    return min(count, max(16, 2048 // padded(channels)))


def launch_shape(channels: int) -> dict[str, int]:
    """Sizes of tiles, as every kernel over pixels takes them."""
    return {"C": channels, "P": tile_pixels(channels), "D": padded(channels), "num_warps": warps(channels)}


def scratch(like: Tensor, *shape: int) -> Tensor:
    """Uninitialised numbers of the precision of sums."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)


@triton.jit
def places(tile, pixels, height, width, P: tl.constexpr):
    """Pixels of a tile: number, whether it exists, image, row, column."""
    pixel = tile * P + tl.arange(0, P)
    rest = pixel % (height * width)
    return pixel, pixel < pixels, pixel // (height * width), rest // width, rest % width


@triton.jit
def aligned(start, C: tl.constexpr):
    """The first element of a map of C channels, a multiple of C: told so, the compiler reads vectors of numbers."""
    return start // C * C


@triton.jit
def aligned_weights(start, C: tl.constexpr):
    """The first of the weights of an edge: sizes of all before it are multiples of the first cell's channels.

    Those are C, C / 2 or C / 4, because a network has two reductions.
    """
    if C % 4 == 0:
        start = aligned(start, C // 4)
    return start


@triton.jit
def source_sides(stride, height, width, out_height, out_width):
    """Sides of an edge's source: the cell's inputs if it halves them, else the size of the nodes."""
    return tl.where(stride == 2, height, out_height), tl.where(stride == 2, width, out_width)


@triton.jit
def write(
    z, partials, values, pixel, ok, tile, pixels, ROW: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr
):
    """Store a tile of results (rows of ROW channels, C of which are these) and its sums and squared deviations."""
    c = tl.arange(0, D)
    inside = ok[:, None] & (c < C)[None, :]
    tl.store(z + pixel[:, None] * ROW + c[None, :], values.to(z.dtype.element_ty), mask=inside)
    # Deviations are taken from the tile's own mean; `statistics_kernel` combines tiles. A sum of squares would cancel.
    total = tl.sum(tl.where(inside, values, 0.0), 0)
    mean = total / tl.minimum(pixels - tile * P, P)
    deviation = tl.where(inside, values - mean[None, :], 0.0)
    tl.store(partials + c, total, mask=c < C)
    tl.store(partials + ROW + c, tl.sum(deviation * deviation, 0), mask=c < C)


@triton.jit
def before_norm(
    gradients,
    z,
    statistics,
    sums,
    pixel,
    ok,
    pixels,
    NORMALISED: tl.constexpr,
    ROW: tl.constexpr,
    C: tl.constexpr,
    D: tl.constexpr,
):
    """Gradient of results before batch norm, from that of those behind it: σ⁻¹ (dy − mean dy − ẑ mean(dy ẑ))."""
    c = tl.arange(0, D)
    inside = ok[:, None] & (c < C)[None, :]
    at = pixel[:, None] * ROW + c[None, :]
    dy = tl.load(gradients + at, mask=inside, other=0.0).to(tl.float32)
    value = tl.load(z + at, mask=inside, other=0.0).to(tl.float32)
    mean = tl.load(statistics + c, mask=c < C, other=0.0)
    scale = tl.load(statistics + ROW + c, mask=c < C, other=0.0)
    if not NORMALISED:
        value = (value - mean[None, :]) * scale[None, :]
    # The two means: statistics of the batch depend on every pixel (Ioffe and Szegedy, 1502.03167, section 3).
    first = tl.load(sums + c, mask=c < C, other=0.0) / pixels
    second = tl.load(sums + ROW + c, mask=c < C, other=0.0) / pixels
    return tl.where(inside, scale[None, :] * (dy - first[None, :] - value * second[None, :]), 0.0)


@triton.jit
def rectified(value):
    """ReLU; unlike a maximum it hands on what is not a number, so that a broken child stays visible."""
    return tl.where(value <= 0.0, 0.0, value)


@triton.jit
def depthwise(
    x, mean, scale, weights, image, row, column, ok, height, width, stride, dilation, c, inside,
    kernel, NORMALISE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """ReLU and depthwise convolution of some channels, at a tile of output pixels; zero around the map."""
    total = tl.zeros([P, CHUNK], tl.float32)
    for tap in range(kernel * kernel):
        y = row * stride + (tap // kernel - kernel // 2) * dilation
        across = column * stride + (tap % kernel - kernel // 2) * dilation
        here = ok & (y >= 0) & (y < height) & (across >= 0) & (across < width)
        mask = here[:, None] & inside[None, :]
        at = ((image * height + y) * width + across)[:, None] * C + c[None, :]
        value = tl.load(x + at, mask=mask, other=0.0).to(tl.float32)
        if NORMALISE:
            value = (value - mean[None, :]) * scale[None, :]
        weight = tl.load(weights + tap * C + c, mask=inside, other=0.0)
        total += tl.where(mask, rectified(value), 0.0) * weight[None, :]
    return total


WIDTH = 64
"""Numbers that one program adds up."""


@triton.jit
def reduce_kernel(
    partials, row_step, part_step, places, places_step, sizes, sizes_step, gradient, rows, count,
    R: tl.constexpr, T: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The first of all rows with one place adds the parts of each of them, row by row."""
    row = tl.program_id(1)
    place = tl.load(places + row * places_step)
    if place < 0:
        return
    # Children that chose the same edge and primitive share its weights: the program of the first such row adds up all.
    others = tl.arange(0, R)
    same = tl.load(places + others * places_step, mask=others < row, other=-1) == place
    if tl.sum(same.to(tl.int32), 0) > 0:
        return
    at, part = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), tl.arange(0, T)
    inside = at < tl.load(sizes + row * sizes_step)
    mask = (part < count)[:, None] & inside[None, :]
    total = tl.zeros([WIDTH], tl.float32)
    for other in range(row, rows):
        if tl.load(places + other * places_step) == place:
            base = partials + tl.cast(other, tl.int64) * row_step
            total += tl.sum(tl.load(base + part[:, None] * part_step + at[None, :], mask=mask, other=0.0), 0)
    total += tl.load(gradient + place + at, mask=inside, other=0.0)
    tl.store(gradient + place + at, total, mask=inside)


def reduce_weight_grads(partials: Tensor, places: Tensor, sizes: Tensor, gradient: Tensor) -> None:
    """See `Operations.reduce_weight_grads`."""
    rows, count, width = partials.shape
    grid = (triton.cdiv(width, WIDTH), rows)
    reduce_kernel[grid](
        partials, partials.stride(0), partials.stride(1), places, places.stride(0), sizes, sizes.stride(0), gradient,
        rows, count, R=triton.next_power_of_2(rows), T=triton.next_power_of_2(count), WIDTH=WIDTH,
    )  # fmt: skip
