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
DEPTHWISE_SIZE = tl.constexpr(layout.DEPTHWISE_SIZE)
POINTWISE, EDGE_COLUMNS = tl.constexpr(layout.POINTWISE), tl.constexpr(layout.EDGE_COLUMNS)
MAX_POOL, AVERAGE_POOL = tl.constexpr(layout.MAX_POOL), tl.constexpr(layout.AVERAGE_POOL)
IDENTITY, CONVOLVE = tl.constexpr(layout.IDENTITY), tl.constexpr(layout.CONVOLVE)


def chunk(channels: int) -> int:
    """Channels that a kernel reads at a time: as many as waste little."""
    return 32 if channels % 32 == 0 else 16


def wide_chunk(channels: int, width: int) -> int:
    """The same where tiles of `width` channels leave little of a lane's numbers for each of them."""
    return max(chunk(channels), 32 if width >= 128 else 16)


def warps(channels: int) -> int:
    """Warps of a program."""
    return 4 if padded(channels) <= 64 else 8


def parts(count: int, channels: int) -> int:
    """Parts in which programs of backward kernels sum over `count` tiles: the fewer, the larger a weight gradient."""
    return min(count, max(16, 2048 // padded(channels)))


def launch_shape(channels: int) -> dict[str, int]:
    """Sizes of tiles, as forward kernels over pixels take them."""
    return {"C": channels, "P": tile_pixels(channels), "D": padded(channels), "num_warps": warps(channels)}


def back_shape(channels: int) -> dict[str, int]:
    """The same for kernels that also sum over pixels, or keep other tiles beside it."""
    width = padded(channels)
    pixels = (4096 if width <= 64 else 8192) // width
    return {"C": channels, "P": max(16, pixels), "D": width, "num_warps": warps(channels)}


REGISTERS = 168
"""Registers of a lane, at most, so that three programs of four warps run at a time."""


def groups(chunks: int, accumulators: int, sizes: dict[str, int]) -> tuple[int, int]:
    """Programs among which chunks of input channels are divided, and how many of them each handles.

    A lane accumulates at most `accumulators` gradients of weights, unless a single chunk takes more.
    """
    most = max(1, accumulators * 32 * sizes["num_warps"] // (sizes["D"] * sizes["CHUNK"]))
    programs = triton.cdiv(chunks, most)
    return programs, triton.cdiv(chunks, programs)


def scratch(like: Tensor, *shape: int) -> Tensor:
    """Uninitialised numbers of the precision of sums."""
    return torch.empty(shape, dtype=like.dtype, device=like.device)


@triton.jit
def pixels_of_tile(tile, pixels, height, width, P: tl.constexpr):
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
def replaced(values, index: tl.constexpr, value):
    """A tuple with another value at `index`."""
    return values[:index] + (value,) + values[index + 1 :]  # noqa: RUF005 - Triton knows no unpacking


@triton.jit
def inside(position, side):
    """Whether a position is at least 0 and less than `side`: one comparison, because as unsigned, −1 is large."""
    return position.to(tl.uint32, bitcast=True) < side.to(tl.uint32, bitcast=True)


@triton.jit
def halved(position):
    """Half of an even position; odd ones get the highest bit, and are outside of every map."""
    bits = position.to(tl.uint32, bitcast=True)
    return ((bits >> 1) | (bits << 31)).to(tl.int32, bitcast=True)


@triton.jit
def write(z, partials, values, pixel, ok, c, some, tile, pixels, ROW: tl.constexpr, P: tl.constexpr):
    """Store a tile of results (`some` channels `c` of rows of ROW) and its sums and squared deviations."""
    mask = ok[:, None] & some[None, :]
    tl.store(z + pixel[:, None] * ROW + c[None, :], values.to(z.dtype.element_ty), mask=mask)
    # Deviations are taken from the tile's own mean; `statistics_kernel` combines tiles. A sum of squares would cancel.
    total = tl.sum(tl.where(mask, values, 0.0), 0)
    mean = total / tl.minimum(pixels - tile * P, P)
    deviation = tl.where(mask, values - mean[None, :], 0.0)
    tl.store(partials + c, total, mask=some)
    tl.store(partials + ROW + c, tl.sum(deviation * deviation, 0), mask=some)


@triton.jit
def norm(statistics, sums, pixels, normalised, c, some, SUMS: tl.constexpr, ROW: tl.constexpr):
    """What `before_norm` needs of every channel; of results that are `normalised`, the mean is 0."""
    part = tl.arange(0, SUMS)
    mean = tl.load(statistics + c, mask=some, other=0.0)
    scale = tl.load(statistics + ROW + c, mask=some, other=0.0)
    # The two means: statistics of the batch depend on every pixel (Ioffe and Szegedy, 1502.03167, section 3).
    at = sums + part[:, None] * (2 * ROW) + c[None, :]
    first = tl.sum(tl.load(at, mask=some[None, :], other=0.0), 0) / pixels
    second = tl.sum(tl.load(at + ROW, mask=some[None, :], other=0.0), 0) / pixels
    inner = tl.where(normalised, 1.0, scale)
    return tl.where(normalised, 0.0, mean), scale, scale * first, scale * inner * second


@triton.jit
def before_norm(gradients, z, mean, scale, first, second, at, mask):
    """Gradient of results before batch norm, from that of those behind it: σ⁻¹ (dy − mean dy − ẑ mean(dy ẑ)).

    What it gives for pixels that do not exist is finite, and must meet a zero or a mask.
    """
    dy = tl.load(gradients + at, mask=mask, other=0.0).to(tl.float32)
    value = tl.load(z + at, mask=mask, other=0.0).to(tl.float32)
    return scale[None, :] * dy - (first[None, :] + (value - mean[None, :]) * second[None, :])


@triton.jit
def rectified(value):
    """ReLU; unlike a comparison it hands on what is not a number, so that a broken child stays visible."""
    return tl.maximum(value, 0.0, propagate_nan=tl.PropagateNan.ALL)


WIDTH = 128
"""Numbers that one program adds up."""


@triton.jit
def add_parts(
    partials, row_step, count, width, offsets, step, size, gradient, at, row, rows,
    R: tl.constexpr, T: tl.constexpr,
):  # fmt: skip
    """The first of all rows with one offset adds up the parts of each of them, row by row, into `gradient`.

    Children that chose the same edge and primitive share its weights, so that several rows have one offset.
    """
    offset, others, part = tl.load(offsets + row * step), tl.arange(0, R), tl.arange(0, T)
    same = (tl.load(offsets + others * step, mask=others < rows, other=-1) == offset) & (offset >= 0)
    if tl.min(tl.where(same, others, R), 0) == row:
        inside = at < size
        total = tl.zeros(at.shape, tl.float32)
        other = row
        while other < rows:
            base = partials + other.to(tl.int64) * row_step
            for start in range(0, count, T):
                index = start + part
                mask = (index < count)[:, None] & inside[None, :]
                total += tl.sum(tl.load(base + index[:, None] * width + at[None, :], mask=mask, other=0.0), 0)
            other = tl.min(tl.where(same & (others > other), others, R), 0)
        total += tl.load(gradient + offset + at, mask=inside, other=0.0)
        tl.store(gradient + offset + at, total, mask=inside)
