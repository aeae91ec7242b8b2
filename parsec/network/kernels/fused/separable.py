"""Separable convolutions of active edges: ReLU, depthwise and pointwise convolution, forward and backward."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.fused.common import (
    CONVOLVE,
    DEPTHWISE,
    DEPTHWISE_SIZE,
    EDGE_COLUMNS,
    KIND,
    POINTWISE,
    REGISTERS,
    REPEATS,
    STAGE_COLUMNS,
    UPSTREAM,
    WIDTH,
    add_parts,
    aligned,
    aligned_weights,
    back_shape,
    before_norm,
    chunk,
    groups,
    launch_shape,
    norm,
    parts,
    replaced,
    scratch,
    wide_chunk,
    write,
)
from parsec.network.kernels.fused.depthwise import depthwise, depthwise_back, weight_parts
from parsec.network.kernels.fused.norm import gradient_sums
from parsec.network.kernels.layout import Maps, tiles


@triton.jit(do_not_specialize=["pixels"])
def pointwise_kernel(
    edges, weights, h, z, partials, pixels,
    STAGE: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """One tile of the result of one edge: depthwise results times the pointwise weights."""
    tile, row = tl.program_id(0), tl.program_id(1)
    edge = edges + row * EDGE_COLUMNS
    if (tl.load(edge + KIND) != CONVOLVE) | (tl.load(edge + REPEATS) <= STAGE):
        return
    weight = weights + aligned_weights(tl.load(edge + POINTWISE + STAGE * STAGE_COLUMNS), C)
    shift = row.to(tl.int64) * pixels * C
    pixel, out = tile * P + tl.arange(0, P), tl.arange(0, D)
    ok = pixel < pixels
    total = tl.zeros([P, D], tl.float32)
    for start in range(0, C, CHUNK):
        c = start + tl.arange(0, CHUNK)
        value = tl.load(h + shift + pixel[:, None] * C + c[None, :], mask=ok[:, None] & (c < C)[None, :], other=0.0)
        w = tl.load(weight + out[None, :] * C + c[:, None], mask=(c < C)[:, None] & (out < C)[None, :], other=0.0)
        # `ieee`: float32 is not rounded to TF32, so that results match the executor `sequential`.
        total = tl.dot(value, w.to(h.dtype.element_ty), total, input_precision="ieee")
    sums = partials + (row * tl.num_programs(0) + tile) * 2 * C
    write(z + shift, sums, total, pixel, ok, out, out < C, tile, pixels, C, P)


def separable(
    stage: int, edges: Tensor, weights: Tensor, states: Tensor, h: Tensor, z: Tensor, partials: Tensor, maps: Maps
) -> None:
    """See `Operations.separable`."""
    depthwise(stage, edges, weights, states if stage == 0 else z[0], h[stage], maps)
    pointwise_kernel[(tiles(maps.pixels, maps.channels), maps.rows)](
        edges, weights, h[stage], z[stage], partials, maps.pixels,
        STAGE=stage, CHUNK=chunk(maps.channels), **launch_shape(maps.channels),
    )  # fmt: skip


@triton.jit(do_not_specialize=["pixels", "per"])
def pointwise_back_kernel(
    edges, weights, h, z, statistics, sums, gradients, dh, partials, pixels, per,
    STAGE: tl.constexpr, SUMS: tl.constexpr, C: tl.constexpr, P: tl.constexpr, D: tl.constexpr,
    CHUNK: tl.constexpr, GROUP: tl.constexpr,
):  # fmt: skip
    """Gradients of the depthwise results and of the pointwise weights, for a part of the pixels of one edge.

    A program handles GROUP chunks of input channels, because each program reads all channels of the result.
    """
    part, row, first = tl.program_id(0), tl.program_id(1), tl.program_id(2) * GROUP
    edge = edges + row * EDGE_COLUMNS
    repeats = tl.load(edge + REPEATS)
    if (tl.load(edge + KIND) != CONVOLVE) | (repeats <= STAGE):
        return
    weight = weights + aligned_weights(tl.load(edge + POINTWISE + STAGE * STAGE_COLUMNS), C)
    above = gradients + aligned(tl.load(edge + UPSTREAM + STAGE * STAGE_COLUMNS), C)
    shift = row.to(tl.int64) * pixels * C
    out = tl.arange(0, D)
    # What a second stage reads was normalised in place.
    mean, scale, first_mean, second_mean = norm(
        statistics + row * 2 * C, sums + row * SUMS * 2 * C, pixels, repeats > STAGE + 1, out, out < C, SUMS, C
    )
    total = (tl.zeros([D, CHUNK], tl.float32),) * GROUP
    factors = (tl.zeros([D, CHUNK], h.dtype.element_ty),) * GROUP
    for each in tl.static_range(GROUP):
        c = (first + each) * CHUNK + tl.arange(0, CHUNK)
        chosen = (out < C)[:, None] & (c < C)[None, :]
        w = tl.load(weight + out[:, None] * C + c[None, :], mask=chosen, other=0.0)
        factors = replaced(factors, each, w.to(h.dtype.element_ty))
    for index in range(per):
        pixel = (part * per + index) * P + tl.arange(0, P)
        ok, at = pixel < pixels, pixel[:, None] * C + out[None, :]
        mask = ok[:, None] & (out < C)[None, :]
        dz = before_norm(above, z + shift, mean, scale, first_mean, second_mean, at, mask).to(h.dtype.element_ty)
        for each in tl.static_range(GROUP):
            c = (first + each) * CHUNK + tl.arange(0, CHUNK)
            gradient = tl.dot(dz, factors[each], input_precision="ieee")
            at, inside = shift + pixel[:, None] * C + c[None, :], ok[:, None] & (c < C)[None, :]
            tl.store(dh + at, gradient.to(dz.dtype), mask=inside)
            value = tl.load(h + at, mask=inside, other=0.0)
            added = tl.dot(tl.trans(dz), value, total[each], input_precision="ieee")
            total = replaced(total, each, added)
    slot = partials + (row.to(tl.int64) * tl.num_programs(0) + part) * C * C
    for each in tl.static_range(GROUP):
        c = (first + each) * CHUNK + tl.arange(0, CHUNK)
        chosen = (out < C)[:, None] & (c < C)[None, :]
        tl.store(slot + out[:, None] * C + c[None, :], total[each], mask=chosen)


@triton.jit(do_not_specialize=["rows", "depthwise_count", "pointwise_count"])
def reduce_edges_kernel(
    edges, partials, gradient, rows, depthwise_count, pointwise_count,
    C: tl.constexpr, R: tl.constexpr, T: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Some weights of one stage of one edge: see `add_parts`."""
    block, row, stage = tl.program_id(0), tl.program_id(1), tl.program_id(2)
    edge = edges + row * EDGE_COLUMNS
    offsets = edges + stage * STAGE_COLUMNS
    depthwise_blocks: tl.constexpr = (25 * C + WIDTH - 1) // WIDTH
    # Parts of a stage: those of the depthwise weights of all rows, then those of the pointwise weights.
    pointwise = rows.to(tl.int64) * depthwise_count * 25 * C
    partials += stage * (pointwise + rows.to(tl.int64) * pointwise_count * C * C)
    if block < depthwise_blocks:
        add_parts(
            partials, depthwise_count * 25 * C, depthwise_count, 25 * C, offsets + DEPTHWISE, EDGE_COLUMNS,
            tl.load(edge + DEPTHWISE_SIZE), gradient, block * WIDTH + tl.arange(0, WIDTH), row, rows, R, T,
        )  # fmt: skip
    else:
        add_parts(
            partials + pointwise, pointwise_count * C * C, pointwise_count, C * C, offsets + POINTWISE, EDGE_COLUMNS,
            C * C, gradient, (block - depthwise_blocks) * WIDTH + tl.arange(0, WIDTH), row, rows, R, T,
        )  # fmt: skip


def separable_back(
    edges: Tensor, weights: Tensor, states: Tensor, h: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor,
    weight_gradient: Tensor, maps: Maps,
) -> None:  # fmt: skip
    """See `Operations.separable_back`; the two edges of a child are added to their sources one after the other."""
    c, rows, sizes = maps.channels, maps.rows, back_shape(maps.channels)
    sizes["CHUNK"] = 64 if sizes["D"] >= 256 else wide_chunk(c, sizes["D"])
    chunks, group = groups(triton.cdiv(c, sizes["CHUNK"]), 64, sizes)
    dh = torch.empty_like(z[0])
    depthwise_count, count = weight_parts(maps), parts(triton.cdiv(maps.pixels, sizes["P"]), c)
    split = [rows * depthwise_count * 25 * c, rows * count * c * c]
    partials = scratch(weights, 2, sum(split))
    for stage in (1, 0):
        depthwise_partials, pointwise_partials = partials[stage].split(split)
        sums = gradient_sums(
            edges, layout.UPSTREAM + stage * layout.STAGE, gradients, z[stage], statistics[stage], stage + 2,
            1 << layout.CONVOLVE,
        )  # fmt: skip
        pointwise_back_kernel[(count, rows, chunks)](
            edges, weights, h[stage], z[stage], statistics[stage], sums, gradients, dh, pointwise_partials,
            maps.pixels, triton.cdiv(maps.pixels, sizes["P"] * count),
            STAGE=stage, SUMS=sums.shape[1], GROUP=group, num_stages=1, maxnreg=REGISTERS, **sizes,
        )  # fmt: skip
        x = states if stage == 0 else z[0]
        depthwise_back(stage, edges, weights, x, dh, gradients, depthwise_partials, maps)
    blocks = triton.cdiv(25 * c, WIDTH) + triton.cdiv(c * c, WIDTH)
    reduce_edges_kernel[(blocks, rows, 2)](
        edges, partials, weight_gradient, rows, depthwise_count, count,
        C=c, R=triton.next_power_of_2(rows), T=16, WIDTH=WIDTH,
    )  # fmt: skip
