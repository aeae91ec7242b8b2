"""The kernels in plain PyTorch: what the fused ones must equal, and what runs on the CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.kernels import layout
from parsec.network.kernels.layout import Conv1x1, Maps, tile_pixels, tiles

EPSILON = 1e-5
"""Of batch norm, PyTorch's default."""


def _tile_sums(maps: Tensor, partials: Tensor) -> None:
    """Sum and squared deviations from the tile's own mean, of every tile and channel."""
    for index, tile in enumerate(maps.reshape(-1, maps.shape[-1]).split(tile_pixels(maps.shape[-1]))):
        partials[index, 0] = tile.sum(0)
        partials[index, 1] = (tile - tile.mean(0)).square().sum(0)


def _write(maps: Tensor, z: Tensor, partials: Tensor) -> None:
    z.copy_(maps)
    _tile_sums(maps.detach(), partials)


def conv_source(source: int, x: Tensor, conv: Conv1x1) -> Tensor:
    """Copy of the input of a row, [N, H, W, channels of all blocks]."""
    shape = (conv.batch, conv.height, conv.width, conv.block_channels)
    size = conv.batch * conv.height * conv.width * conv.block_channels
    starts = [source + block * conv.block_stride for block in range(conv.blocks)]
    return torch.cat([x[start : start + size].view(shape) for start in starts], -1)


def conv_weights(row: list[int], weights: Tensor, conv: Conv1x1) -> list[Tensor]:
    """Weights of the halves of a row, each [channels of the half, input channels]."""
    starts = row[layout.CONV_EVEN :][: conv.halves]
    return [weights[start : start + conv.weight_size].view(-1, conv.inputs) for start in starts]


def relu_conv1x1(x: Tensor, weights: list[Tensor]) -> Tensor:
    """ReLU and 1 × 1 convolution, or factorised reduction, of [N, H, W, channels]."""
    x = F.relu(x)
    if len(weights) == 1:
        return x @ weights[0].T
    # An odd side has one odd pixel fewer than even ones; a border of zeros makes up for it.
    padded = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
    return torch.cat([x[:, ::2, ::2] @ weights[0].T, padded[:, 1::2, 1::2] @ weights[1].T], -1)


def conv1x1(rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, partials: Tensor, conv: Conv1x1) -> None:
    """See `Operations.conv1x1`."""
    for index, row in enumerate(rows.tolist()):
        if row[layout.CONV_SOURCE] >= 0:
            source = conv_source(row[layout.CONV_SOURCE], x, conv).to(weights.dtype)
            _write(relu_conv1x1(source, conv_weights(row, weights, conv)), z[index], partials[index])


def source_of(row: list[int], states: Tensor, maps: Maps) -> Tensor:
    """View of the source of an edge among the states or their gradients, [N, H, W, C]."""
    sides = (maps.height, maps.width) if row[layout.STRIDE] == 2 else (maps.out_height, maps.out_width)
    start, size = row[layout.SOURCE], maps.batch * sides[0] * sides[1] * maps.channels
    return states[start : start + size].view(maps.batch, *sides, maps.channels)


def stage_weights(row: list[int], stage: int, weights: Tensor, maps: Maps) -> tuple[Tensor, Tensor]:
    """Depthwise weights [C, 1, k, k] and pointwise weights [C, C] of a stage of an edge."""
    c, kernel, shift = maps.channels, row[layout.KERNEL], stage * layout.STAGE
    depthwise, pointwise = row[layout.DEPTHWISE + shift], row[layout.POINTWISE + shift]
    return (
        weights[depthwise : depthwise + c * kernel * kernel].view(-1, c).T.reshape(c, 1, kernel, kernel),
        weights[pointwise : pointwise + c * c].view(c, c),
    )


def relu_depthwise(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """ReLU and depthwise convolution of [N, H, W, C]."""
    padding = dilation * (weight.shape[-1] // 2)
    x = F.relu(x).permute(0, 3, 1, 2)
    return F.conv2d(x, weight, None, stride, padding, dilation, x.shape[1]).permute(0, 2, 3, 1)


def has_stage(row: list[int], stage: int) -> bool:
    """Whether an edge is a convolution with this stage."""
    return row[layout.KIND] == layout.CONVOLVE and row[layout.REPEATS] > stage


def stage_input(index: int, row: list[int], stage: int, states: Tensor, z: Tensor, maps: Maps) -> Tensor:
    """Input of a stage of an edge, [N, H, W, C]: its source, or the first stage's normalised result."""
    return source_of(row, states, maps) if stage == 0 else z[0, index]


def separable(
    stage: int,
    edges: Tensor,
    weights: Tensor,
    states: Tensor,
    h: Tensor,
    z: Tensor,
    partials: Tensor,
    maps: Maps,
) -> None:
    """See `Operations.separable`."""
    for index, row in enumerate(edges.tolist()):
        if has_stage(row, stage):
            x = stage_input(index, row, stage, states, z, maps).to(weights.dtype)
            depthwise, pointwise = stage_weights(row, stage, weights, maps)
            out = relu_depthwise(x, depthwise, row[layout.STRIDE] if stage == 0 else 1, row[layout.DILATION])
            h[stage, index] = out
            _write(out @ pointwise.T, z[stage, index], partials[index])


def pooled(kind: int, x: Tensor, stride: int) -> Tensor:
    """Maximum or mean of [N, H, W, C]."""
    x = x.permute(0, 3, 1, 2)
    if kind == layout.MAX_POOL:
        largest: Tensor = F.max_pool2d(x, 3, stride, padding=1)
        return largest.permute(0, 2, 3, 1)
    return F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False).permute(0, 2, 3, 1)


def pool(edges: Tensor, states: Tensor, z: Tensor, partials: Tensor, maps: Maps) -> None:
    """See `Operations.pool`."""
    for index, row in enumerate(edges.tolist()):
        if row[layout.KIND] in (layout.MAX_POOL, layout.AVERAGE_POOL):
            x = source_of(row, states, maps).to(partials.dtype)
            _write(pooled(row[layout.KIND], x, row[layout.STRIDE]), z[index], partials[index])


def statistics(partials: Tensor, pixels: int, out: Tensor) -> None:
    """See `Operations.statistics`."""
    size = tile_pixels(partials.shape[-1])
    counts = torch.full((tiles(pixels, partials.shape[-1]), 1), size, dtype=partials.dtype, device=partials.device)
    counts[-1] = pixels - size * (len(counts) - 1)
    sums, squares = partials.unbind(2)
    mean = sums.sum(1) / pixels
    # Chan, Golub and LeVeque (1979): deviations within tiles, and those of the tiles' means.
    between = counts * (sums / counts - mean[:, None]).square()
    out[:, 0], out[:, 1] = mean, ((squares + between).sum(1) / pixels + EPSILON).rsqrt()


def normalise(z: Tensor, statistics: Tensor, edges: Tensor | None) -> None:
    """See `Operations.normalise`."""
    for index, (mean, scale) in enumerate(statistics):
        if edges is None or has_stage(edges[index].tolist(), 1):
            z[index] = (z[index] - mean) * scale


def join(node: int, edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, maps: Maps) -> None:
    """See `Operations.join`."""
    operands = []
    for index, row in enumerate(edges.tolist()):
        if row[layout.KIND] == layout.IDENTITY:
            operands.append(source_of(row, states, maps).to(statistics.dtype))
        else:
            mean, scale = statistics[row[layout.REPEATS] - 1, index].unbind()
            operands.append((z[row[layout.REPEATS] - 1, index] - mean) * scale)
    start = maps.node_start(node)
    out = states[start : start + maps.children * maps.node_size].view(maps.children, *operands[0].shape)
    for child in range(maps.children):
        out[child] = operands[2 * child] + operands[2 * child + 1]


def _normalised(x: Tensor) -> Tensor:
    return F.batch_norm(x.permute(0, 3, 1, 2), None, None, training=True).permute(0, 2, 3, 1)


def _gradients(out: Tensor, start: int, gradients: Tensor, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of `leaves` behind batch norm, from that of its result, which lies in `gradients`."""
    above = gradients[start : start + out.numel()].view(out.shape).to(out.dtype)
    return torch.autograd.grad(_normalised(out), leaves, above)


def _leaves(tensors: list[Tensor]) -> list[Tensor]:
    return [each.detach().requires_grad_() for each in tensors]


def conv1x1_back(
    rows: Tensor,
    weights: Tensor,
    x: Tensor,
    z: Tensor,
    statistics: Tensor,
    gradients: Tensor,
    targets: Tensor,
    weight_gradient: Tensor,
    conv: Conv1x1,
    normalised: bool,
    first: bool,
) -> None:
    """See `Operations.conv1x1_back`; recomputes the convolution, so `z` and its statistics are not read."""
    for row in rows.tolist():
        if row[layout.CONV_SOURCE] < 0:
            continue
        with torch.enable_grad():
            source = conv_source(row[layout.CONV_SOURCE], x, conv).to(weights.dtype)
            leaves = _leaves([source, *conv_weights(row, weights, conv)])
            # Autograd instead of formulas, so that the reference is independent of the kernels that it checks.
            out = relu_conv1x1(leaves[0], leaves[1:])
            leaf_gradients = _gradients(out, row[layout.CONV_UPSTREAM], gradients, leaves)
        for block, part in enumerate(leaf_gradients[0].split(conv.block_channels, -1)):
            start = row[layout.CONV_TARGET] + block * conv.block_stride
            target = targets[start : start + part.numel()]
            target.copy_(part.flatten() if first else target + part.flatten())
        for start, part in zip(row[layout.CONV_EVEN :], leaf_gradients[1:], strict=False):
            weight_gradient[start : start + part.numel()] += part.flatten()


def separable_back(
    edges: Tensor,
    weights: Tensor,
    states: Tensor,
    h: Tensor,
    z: Tensor,
    statistics: Tensor,
    gradients: Tensor,
    weight_gradient: Tensor,
    maps: Maps,
) -> None:
    """See `Operations.separable_back`; recomputes the convolutions, so `h` and statistics are not read."""
    for stage in (1, 0):
        for index, row in enumerate(edges.tolist()):
            if has_stage(row, stage):
                _stage_back(stage, index, row, weights, states, z, gradients, weight_gradient, maps)


def _stage_back(
    stage: int,
    index: int,
    row: list[int],
    weights: Tensor,
    states: Tensor,
    z: Tensor,
    gradients: Tensor,
    weight_gradient: Tensor,
    maps: Maps,
) -> None:
    """Backward of one stage of one edge."""
    shift = stage * layout.STAGE
    with torch.enable_grad():
        x = stage_input(index, row, stage, states, z, maps).to(weights.dtype)
        x, depthwise, pointwise = leaves = _leaves([x, *stage_weights(row, stage, weights, maps)])
        h = relu_depthwise(x, depthwise, row[layout.STRIDE] if stage == 0 else 1, row[layout.DILATION])
        out = h @ pointwise.T
        dx, depthwise, pointwise = _gradients(out, row[layout.UPSTREAM + shift], gradients, leaves)
    if stage == 0:
        # Other edges may read the same source; the result of the first stage is read by this edge only.
        source_of(row, gradients, maps).add_(dx)
    else:
        start = row[layout.UPSTREAM]
        gradients[start : start + maps.node_size] = dx.flatten().to(gradients.dtype)
    for start, part in ((row[layout.DEPTHWISE + shift], depthwise), (row[layout.POINTWISE + shift], pointwise)):
        weight_gradient[start : start + part.numel()] += part.flatten()


def pool_back(edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, maps: Maps) -> None:
    """See `Operations.pool_back`."""
    for row in edges.tolist():
        if row[layout.KIND] not in (layout.MAX_POOL, layout.AVERAGE_POOL, layout.IDENTITY):
            continue
        target, start = source_of(row, gradients, maps), row[layout.UPSTREAM]
        if row[layout.KIND] == layout.IDENTITY:
            target.add_(gradients[start : start + maps.node_size].view(target.shape))
            continue
        with torch.enable_grad():
            (x,) = _leaves([source_of(row, states, maps).to(statistics.dtype)])
            out = pooled(row[layout.KIND], x, row[layout.STRIDE])
            target.add_(_gradients(out, start, gradients, [x])[0])


__all__ = [
    "conv1x1",
    "conv1x1_back",
    "join",
    "normalise",
    "pool",
    "pool_back",
    "separable",
    "separable_back",
    "statistics",
]
