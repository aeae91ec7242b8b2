"""The backward operations in plain PyTorch: autograd through the forward ones and PyTorch's own batch norm."""

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.kernels import tables
from parsec.network.kernels.plain import (
    convolved,
    has_stage,
    mix_source,
    mix_weights,
    mixed,
    pooled,
    source_of,
    stage_input,
    stage_weights,
)
from parsec.network.kernels.shapes import Maps, Mixing


def _normalised(x: Tensor) -> Tensor:
    return F.batch_norm(x.permute(0, 3, 1, 2), None, None, training=True).permute(0, 2, 3, 1)


def _gradients(out: Tensor, start: int, gradients: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of `leaves` behind batch norm, from that of its result, which lies in `gradients`."""
    above = gradients[start : start + out.numel()].view(out.shape).to(out.dtype)
    return torch.autograd.grad(_normalised(out), leaves, above)


def _leaves(tensors: list[Tensor]) -> list[Tensor]:
    return [each.detach().requires_grad_() for each in tensors]


def mix_back(
    rows: Tensor,
    weights: Tensor,
    x: Tensor,
    z: Tensor,
    statistics: Tensor,
    gradients: Tensor,
    targets: Tensor,
    mixing: Mixing,
    normalised: bool,
) -> Tensor:
    """See `Operations.mix_back`; the input is mixed again, so the results `z` and their statistics are not read."""
    partials = weights.new_zeros(len(rows), mixing.halves, 1, mixing.weight_size)
    for index, row in enumerate(rows.tolist()):
        if row[tables.MIX_SOURCE] < 0:
            continue
        with torch.enable_grad():
            source = mix_source(row[tables.MIX_SOURCE], x, mixing).to(weights.dtype)
            leaves = _leaves([source, *mix_weights(row, weights, mixing)])
            out = mixed(leaves[0], leaves[1:])
            found = _gradients(out, row[tables.MIX_UPSTREAM], gradients, leaves)
        for block, part in enumerate(found[0].split(mixing.block_channels, -1)):
            start = row[tables.MIX_TARGET] + block * mixing.block_stride
            targets[start : start + part.numel()] += part.flatten()
        for half, part in enumerate(found[1:]):
            partials[index, half, 0] = part.flatten()
    return partials


def separable_back(
    stage: int,
    picks: Tensor,
    weights: Tensor,
    states: Tensor,
    z: Tensor,
    statistics: Tensor,
    gradients: Tensor,
    maps: Maps,
) -> tuple[Tensor, Tensor]:
    """See `Operations.separable_back`."""
    depthwise = weights.new_zeros(len(picks), 1, 25 * maps.channels)
    pointwise = weights.new_zeros(len(picks), 1, maps.channels * maps.channels)
    for index, row in enumerate(picks.tolist()):
        if not has_stage(row, stage):
            continue
        with torch.enable_grad():
            x = stage_input(index, row, stage, states, z, statistics, maps)
            leaves = _leaves([x, *stage_weights(row, stage, weights, maps)])
            x, depthwise_leaf, pointwise_leaf = leaves
            out = convolved(
                x, depthwise_leaf, pointwise_leaf, row[tables.STRIDE] if stage == 0 else 1, row[tables.DILATION]
            )
            found = _gradients(out, row[tables.UPSTREAM + stage * tables.STAGE], gradients, leaves)
        if stage == 0:
            source_of(row, gradients, maps).add_(found[0])
        else:
            start = row[tables.UPSTREAM]
            gradients[start : start + maps.node_size] = found[0].flatten().to(gradients.dtype)
        depthwise[index, 0, : found[1].numel()] = found[1].flatten()
        pointwise[index, 0] = found[2].flatten()
    return depthwise, pointwise


def pool_back(picks: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, maps: Maps) -> None:
    """See `Operations.pool_back`."""
    for row in picks.tolist():
        if row[tables.KIND] not in (tables.MAX_POOL, tables.AVERAGE_POOL, tables.IDENTITY):
            continue
        target, start = source_of(row, gradients, maps), row[tables.UPSTREAM]
        if row[tables.KIND] == tables.IDENTITY:
            target.add_(gradients[start : start + maps.node_size].view(target.shape))
            continue
        with torch.enable_grad():
            (x,) = _leaves([source_of(row, states, maps).to(statistics.dtype)])
            out = pooled(row[tables.KIND], x, row[tables.STRIDE])
            target.add_(_gradients(out, start, gradients, [x])[0])
