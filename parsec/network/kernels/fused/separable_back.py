"""ReLU, depthwise and pointwise convolution: backward, in two launches.

The first one undoes batch norm and the pointwise convolution, the second one the depthwise convolution, which reads
its neighbours' results of the first.
"""

import torch
import triton
from torch import Tensor

from parsec.network.kernels import tables
from parsec.network.kernels.fused.common import (
    chunk,
    launch_shape,
    parts,
    scratch,
)
from parsec.network.kernels.fused.depthwise_back import depthwise_back_kernel
from parsec.network.kernels.fused.norm import gradient_sums
from parsec.network.kernels.fused.pointwise_back import pointwise_back_kernel
from parsec.network.kernels.shapes import Maps, tiles

NUMBERS = 2048
"""Numbers of a tile that one program of the second launch handles: it holds some channels alone."""


def separable_back(
    stage: int, picks: Tensor, weights: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor,
    maps: Maps,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """See `Operations.separable_back`; the two picks of a child are added to their sources one after the other."""
    upstream = tables.UPSTREAM + stage * tables.STAGE
    sums = gradient_sums(picks, upstream, gradients, z[stage], statistics[stage], False, tables.CONVOLVE)
    x = states if stage == 0 else z[0]
    c, rows, step = maps.channels, maps.rows, chunk(maps.channels)
    dh = torch.empty_like(z[0])
    count = parts(tiles(maps.pixels, c), c)
    per = triton.cdiv(tiles(maps.pixels, c), count)
    pointwise_partials = scratch(weights, rows, count, c * c)
    sides = (maps.height, maps.width, maps.out_height, maps.out_width)
    pointwise_back_kernel[(count, rows, triton.cdiv(c, step))](
        picks, weights, x, z[stage], statistics[stage], statistics[0], sums, gradients, dh, pointwise_partials,
        maps.pixels, *sides, per, STAGE=stage, CHUNK=step, **launch_shape(c),
    )  # fmt: skip
    size = NUMBERS // step
    count = parts(triton.cdiv(maps.pixels, size), c)
    depthwise_partials = scratch(weights, rows, count, 25 * c)
    launches = 2 if stage == 0 else 1
    for start in range(launches):
        depthwise_back_kernel[(count, rows // launches, triton.cdiv(c, step))](
            picks, weights, x, statistics[0], dh, gradients, depthwise_partials,
            maps.batch, *sides, start, launches, STAGE=stage, C=c, P=size, CHUNK=step,
        )  # fmt: skip
    return depthwise_partials, pointwise_partials
