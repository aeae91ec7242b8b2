"""ReLU and depthwise convolution of active edges: forward, gradient of the input, gradient of the weights.

Instructions bound these kernels, not memory. So a lane holds a few channels of WINDOW pixels below each other (a
strip), as far apart as the taps of a kernel: a row that it reads once serves several taps of several pixels. It walks
down a column of the map, strip by strip.
"""

import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels.fused.common import (
    CONVOLVE,
    DEPTHWISE,
    DILATION,
    EDGE_COLUMNS,
    KERNEL,
    KIND,
    REPEATS,
    SOURCE,
    STAGE_COLUMNS,
    STRIDE,
    UPSTREAM,
    aligned,
    aligned_weights,
    halved,
    inside,
    rectified,
    replaced,
    source_sides,
)
from parsec.network.kernels.layout import Maps

WINDOW = 4
"""Pixels of a strip."""
LANES = 128
"""Lanes of a program, each with some channels of one column."""
CHUNK, COLUMNS = 16, 32
"""Channels and columns of a program of the weights' gradient."""


@triton.jit
def columns_of_tile(tile, width, C: tl.constexpr, LANES: tl.constexpr, VECTOR: tl.constexpr):
    """Image, column and channels of every lane, neighbouring channels side by side, and whether it has a column."""
    lane, groups = tl.arange(0, LANES), C // VECTOR
    columns: tl.constexpr = LANES // (C // VECTOR)
    position = tile * columns + lane // groups
    channels = (lane % groups * VECTOR)[:, None] + tl.arange(0, VECTOR)[None, :]
    return (position // width)[:, None], (position % width)[:, None], channels, (lane < columns * groups)[:, None]


@triton.jit
def strips(height, apart, WINDOW: tl.constexpr):
    """Strips of a column whose pixels are `apart` rows apart."""
    return (height + WINDOW * apart - 1) // (WINDOW * apart) * apart


@triton.jit
def first_row(strip, apart, WINDOW: tl.constexpr):
    """First row of a strip; those that interlock follow each other."""
    return strip // apart * (WINDOW * apart) + strip % apart


@triton.jit
def read(x, at, y, ok, height, step, RELU: tl.constexpr):
    """A row of a map whose rows are `step` numbers apart, zero around the map."""
    value = tl.load(x + (at + y * step), mask=ok & inside(y, height), other=0.0)
    if RELU:
        value = rectified(value)
    return value.to(tl.float32)


@triton.jit
def convolve(
    x, weights, at, y, column, ok, height, width, dilation, SIDE: tl.constexpr, STEP: tl.constexpr, BACK: tl.constexpr,
    SPREAD: tl.constexpr, C: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Convolution of a map, or of a gradient with the kernel turned around: a tensor for each pixel of a strip.

    Taps begin at row `y` and column `column`, and of consecutive pixels they are `STEP` dilations apart. With `SPREAD`
    the map has zeros between its rows and between its columns.
    """
    total = (tl.zeros(at.shape, tl.float32),) * WINDOW
    for right in range(SIDE):
        across = column + right * dilation
        if SPREAD:
            across = halved(across)
        here, start = ok & inside(across, width), at + across * C
        weight = (total[0],) * SIDE
        for down in tl.static_range(SIDE):
            tap = SIDE * SIDE - 1 - (down * SIDE + right) if BACK else down * SIDE + right
            weight = replaced(weight, down, tl.load(weights + tap * C))
        for row in tl.static_range((WINDOW - 1) * STEP + SIDE):
            below = y + row * dilation
            if SPREAD:
                below = halved(below)
            value = read(x, start, below, here, height, width * C, not BACK)
            for pixel in tl.static_range(WINDOW):
                if row - pixel * STEP >= 0 and row - pixel * STEP < SIDE:
                    added = total[pixel] + value * weight[row - pixel * STEP]
                    total = replaced(total, pixel, added)
    return total


@triton.jit
def stage_input(edge, row, x, out_pixels, height, width, out_height, out_width, STAGE: tl.constexpr, C: tl.constexpr):
    """Where a stage of an edge reads: first element, sides and stride; the second one reads the first one's result."""
    if STAGE == 0:
        stride = tl.load(edge + STRIDE).to(tl.int32)
        h, w = source_sides(stride, height, width, out_height, out_width)
        base = x + aligned(tl.load(edge + SOURCE), C)
    else:
        stride = tl.full([], 1, tl.int32)
        h, w = source_sides(stride, height, width, out_height, out_width)
        base = x + row.to(tl.int64) * out_pixels * C
    return base, h, w, stride


@triton.jit
def forward(
    base, weight, out, image, column, channels, ok, h, w, out_height, out_width, stride, dilation, apart,
    SIDE: tl.constexpr, STEP: tl.constexpr, C: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Walk down the columns of a result."""
    at, across = image * h * w * C + channels, column * stride - SIDE // 2 * dilation
    own = (image * out_height * out_width + column) * C + channels
    for strip in range(strips(out_height, apart, WINDOW)):
        top = first_row(strip, apart, WINDOW)
        y = top * stride - SIDE // 2 * dilation
        total = convolve(base, weight, at, y, across, ok, h, w, dilation, SIDE, STEP, False, False, C, WINDOW)
        for pixel in tl.static_range(WINDOW):
            row = top + pixel * apart
            tl.store(
                out + (own + row * out_width * C), total[pixel].to(out.dtype.element_ty), mask=ok & (row < out_height)
            )


@triton.jit(do_not_specialize=["batch", "height", "width", "out_height", "out_width"])
def depthwise_kernel(
    edges, weights, x, h, batch, height, width, out_height, out_width,
    STAGE: tl.constexpr, C: tl.constexpr, LANES: tl.constexpr, VECTOR: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Some columns of the result of one edge."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    pixels = batch * out_height * out_width
    base, source_height, source_width, stride = stage_input(
        edge, row, x, pixels, height, width, out_height, out_width, STAGE, C
    )
    dilation = tl.load(edge + DILATION).to(tl.int32)
    image, column, channels, ok = columns_of_tile(tile, out_width, C, LANES, VECTOR)
    ok = ok & (image < batch)
    weight = weights + aligned_weights(tl.load(edge + DEPTHWISE + STAGE * STAGE_COLUMNS), C) + channels
    out = h + row.to(tl.int64) * pixels * C
    # Strides and dilations are 1 or 2. Where it can be, pixels of a strip are so far apart that they share taps.
    apart = tl.where(stride == 1, dilation, 1)
    kernel, step = tl.load(edge + KERNEL), tl.where(stride * apart == dilation, 1, 2)
    for SIDE in tl.static_range(3, 6, 2):
        for STEP in tl.static_range(1, 3):
            if (kernel == SIDE) & (step == STEP):
                forward(
                    base, weight, out, image, column, channels, ok, source_height, source_width, out_height, out_width,
                    stride, dilation, apart, SIDE, STEP, C, WINDOW,
                )  # fmt: skip


def _columns(batch: int, width: int, channels: int) -> tuple[int, dict[str, int]]:
    """Programs for the columns of a map, and their sizes: a lane reads the channels that it holds at once."""
    vector = next(size for size in (4, 2, 1) if channels % size == 0)
    lanes = max(LANES, triton.next_power_of_2(channels // vector))
    tiles = triton.cdiv(batch * width, lanes // (channels // vector))
    return tiles, {"C": channels, "LANES": lanes, "VECTOR": vector, "WINDOW": WINDOW}


def depthwise(stage: int, edges: Tensor, weights: Tensor, x: Tensor, h: Tensor, maps: Maps) -> None:
    """ReLU and depthwise convolution of a stage of all edges, from `x` into `h` [row, N, H', W', C]."""
    tiles, sizes = _columns(maps.batch, maps.out_width, maps.channels)
    sides = (maps.height, maps.width, maps.out_height, maps.out_width)
    depthwise_kernel[(tiles, maps.rows)](edges, weights, x, h, maps.batch, *sides, STAGE=stage, **sizes)


@triton.jit
def input_gradient(
    base, weight, dh, target, image, column, channels, ok, h, w, out_height, out_width, dilation,
    SIDE: tl.constexpr, SPREAD: tl.constexpr, ADD: tl.constexpr, C: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Walk down the columns of a source: every pixel gathers from the results that read it, without atomics."""
    at, across = image * out_height * out_width * C + channels, column - SIDE // 2 * dilation
    own = (image * h * w + column) * C + channels
    for strip in range(strips(h, dilation, WINDOW)):
        top = first_row(strip, dilation, WINDOW)
        y = top - SIDE // 2 * dilation
        total = convolve(
            dh, weight, at, y, across, ok, out_height, out_width, dilation, SIDE, 1, True, SPREAD, C, WINDOW
        )
        for pixel in tl.static_range(WINDOW):
            row = top + pixel * dilation
            here, offset = ok & (row < h), own + row * w * C
            value = tl.load(base + offset, mask=here, other=0.0).to(tl.float32)
            value = tl.where(value > 0.0, total[pixel], 0.0)
            if ADD:
                value += tl.load(target + offset, mask=here, other=0.0).to(tl.float32)
            tl.store(target + offset, value.to(target.dtype.element_ty), mask=here)


@triton.jit(do_not_specialize=["batch", "height", "width", "out_height", "out_width", "start", "step"])
def input_gradient_kernel(
    edges, weights, x, dh, gradients, batch, height, width, out_height, out_width, start, step,
    STAGE: tl.constexpr, C: tl.constexpr, LANES: tl.constexpr, VECTOR: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Some columns of what one edge reads."""
    tile, row = tl.program_id(0), start + tl.program_id(1) * step
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    pixels = batch * out_height * out_width
    base, h, w, stride = stage_input(edge, row, x, pixels, height, width, out_height, out_width, STAGE, C)
    dilation = tl.load(edge + DILATION).to(tl.int32)
    image, column, channels, ok = columns_of_tile(tile, w, C, LANES, VECTOR)
    ok = ok & (image < batch)
    weight = weights + aligned_weights(tl.load(edge + DEPTHWISE + STAGE * STAGE_COLUMNS), C) + channels
    above = dh + row.to(tl.int64) * pixels * C
    # Other edges add to the same source. The result of the first stage is read by the second one only.
    target = gradients + aligned(tl.load(edge + (SOURCE if STAGE == 0 else UPSTREAM)), C)
    kernel = tl.load(edge + KERNEL)
    for SIDE in tl.static_range(3, 6, 2):
        for STRIDED in tl.static_range(2):
            if (kernel == SIDE) & (stride == 1 + STRIDED):
                input_gradient(
                    base, weight, above, target, image, column, channels, ok, h, w, out_height, out_width, dilation,
                    SIDE, STRIDED == 1, STAGE == 0, C, WINDOW,
                )  # fmt: skip


@triton.jit
def weight_gradient(
    base, dh, partials, first, per, right, c, batch, h, w, out_height, out_width, stride, dilation, apart,
    SIDE: tl.constexpr, STEP: tl.constexpr, C: tl.constexpr, COLUMNS: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """Gradients of the weights of one column of taps, at some columns of the result."""
    total = (tl.zeros([COLUMNS, c.shape[0]], tl.float32),) * SIDE
    for index in range(per):
        position = (first + index) * COLUMNS + tl.arange(0, COLUMNS)[:, None]
        image, column = position // out_width, position % out_width
        ok = (image < batch) & (c < C)[None, :]
        across = column * stride + (right - SIDE // 2) * dilation
        here = ok & inside(across, w)
        at, own = (image * h * w + across) * C + c[None, :], (image * out_height * out_width + column) * C + c[None, :]
        for strip in range(strips(out_height, apart, WINDOW)):
            top = first_row(strip, apart, WINDOW)
            y = top * stride - SIDE // 2 * dilation
            gradient = (total[0],) * WINDOW
            for pixel in tl.static_range(WINDOW):
                value = read(dh, own, top + pixel * apart, ok, out_height, out_width * C, False)
                gradient = replaced(gradient, pixel, value)
            for row in tl.static_range((WINDOW - 1) * STEP + SIDE):
                value = read(base, at, y + row * dilation, here, h, w * C, True)
                for pixel in tl.static_range(WINDOW):
                    if row - pixel * STEP >= 0 and row - pixel * STEP < SIDE:
                        added = total[row - pixel * STEP] + value * gradient[pixel]
                        total = replaced(total, row - pixel * STEP, added)
    # Lanes are added up once, behind the loop, in a fixed order.
    for down in tl.static_range(SIDE):
        tl.store(partials + c * (SIDE * SIDE) + down * SIDE + right, tl.sum(total[down], 0), mask=c < C)


@triton.jit(do_not_specialize=["batch", "height", "width", "out_height", "out_width", "per"])
def weight_gradient_kernel(
    edges, x, dh, partials, batch, height, width, out_height, out_width, per,
    STAGE: tl.constexpr, C: tl.constexpr, CHUNK: tl.constexpr, COLUMNS: tl.constexpr, WINDOW: tl.constexpr,
):  # fmt: skip
    """One part of the columns of an edge's result, one column of taps, some channels."""
    part, row, right = tl.program_id(0), tl.program_id(1), tl.program_id(2) % 5
    c = tl.program_id(2) // 5 * CHUNK + tl.arange(0, CHUNK)
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    kernel, dilation = tl.load(edge + KERNEL).to(tl.int32), tl.load(edge + DILATION).to(tl.int32)
    if right >= kernel:
        return
    pixels = batch * out_height * out_width
    base, h, w, stride = stage_input(edge, row, x, pixels, height, width, out_height, out_width, STAGE, C)
    above = dh + row.to(tl.int64) * pixels * C
    slot = partials + (row.to(tl.int64) * tl.num_programs(0) + part) * 25 * C
    apart = tl.where(stride == 1, dilation, 1)
    step = tl.where(stride * apart == dilation, 1, 2)
    for SIDE in tl.static_range(3, 6, 2):
        for STEP in tl.static_range(1, 3):
            if (kernel == SIDE) & (step == STEP):
                weight_gradient(
                    base, above, slot, part * per, per, right, c, batch, h, w, out_height, out_width,
                    stride, dilation, apart, SIDE, STEP, C, COLUMNS, WINDOW,
                )  # fmt: skip


def weight_parts(maps: Maps) -> int:
    """Parts in which gradients of weights are summed: the more channels, the more programs there are without."""
    tiles = -(-maps.batch * maps.out_width // COLUMNS)
    return min(tiles, max(2, 16 // -(-maps.channels // CHUNK)))


def depthwise_back(
    stage: int, edges: Tensor, weights: Tensor, x: Tensor, dh: Tensor, gradients: Tensor, partials: Tensor, maps: Maps
) -> None:
    """Add the gradients of what a stage of all edges reads to `gradients`, and write parts of those of the weights."""
    sides = (maps.height, maps.width, maps.out_height, maps.out_width)
    tiles, sizes = _columns(maps.batch, maps.width, maps.channels)
    # The two edges of a child may read the same source; the second stages of two edges never share their input.
    launches = 2 if stage == 0 else 1
    for start in range(launches):
        input_gradient_kernel[(tiles, maps.rows // launches)](
            edges, weights, x, dh, gradients, maps.batch, *sides, start, launches, STAGE=stage, **sizes
        )
    count, tiles = weight_parts(maps), triton.cdiv(maps.batch * maps.out_width, COLUMNS)
    weight_gradient_kernel[(count, maps.rows, 5 * triton.cdiv(maps.channels, CHUNK))](
        edges, x, dh, partials, maps.batch, *sides, triton.cdiv(tiles, count),
        STAGE=stage, C=maps.channels, CHUNK=CHUNK, COLUMNS=COLUMNS, WINDOW=WINDOW,
    )  # fmt: skip
