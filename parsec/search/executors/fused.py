"""Executor `fused`: S architectures at once, as data that fused kernels read; no launch depends on which they are.

The host makes a plan from shapes only. On the device, the architectures become tables with one row per active edge
(`layout.Tables.edges`), and every kernel looks up in its row what to compute, from which maps, with which weights. So
no architecture is copied to the host, and `cuda_graph` can replay a whole step.

S architectures, N images, H × W and H' × W' pixels of a cell's inputs and nodes, C channels.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Self

import torch
from torch import Tensor

from parsec.network.kernels.interface import Operations, operations
from parsec.network.kernels.layout import Conv1x1, Maps, Tables, sizes_of, tiles
from parsec.network.layers import strided
from parsec.network.supernet import SharedParameters, Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import summed_cross_entropy
from parsec.space.darts import NODES, SLOTS, Genotype


class Rows(NamedTuple):
    """Table rows that the launches of a cell read, int64; −1 throughout a row that is left out."""

    edges: Tensor
    """Active edges, [node, 2S, `layout.EDGE_COLUMNS`]."""
    reductions: Tensor
    """Those of them that are factorised reductions, [node, 2S, `layout.CONV_COLUMNS`]."""
    projections: Tensor
    """Projections of the two inputs of the cell, [2, S, `layout.CONV_COLUMNS`]."""

    def of_cell(self, index: int) -> Self:
        """Rows of one cell, from rows of all cells."""
        return type(self)(*(rows[index] for rows in self))

    def without_negligible(self, share: Tensor, dtype: torch.dtype) -> Self:
        """Rows of all architectures but those whose share of the gradient (S) is lost in rounding."""
        negligible = (share < torch.finfo(dtype).eps / 2).view(-1, 1)
        slots = negligible.repeat_interleave(SLOTS, 0)
        edges, reductions = self.edges.masked_fill(slots, -1), self.reductions.masked_fill(slots, -1)
        return type(self)(edges, reductions, self.projections.masked_fill(negligible, -1))


class Source(NamedTuple):
    """Where the maps that a cell takes as an input are stored: one result of the stem, or the nodes of a cell."""

    height: int
    width: int
    blocks: int
    """Blocks of channels: 4 nodes of a cell, 1 of the stem."""
    channels: int
    """Channels of a block."""
    block_stride: int
    start: int
    stride: int
    """Elements between the maps of consecutive architectures; 0 for the stem, which all of them share."""
    gradient_stride: int
    """The same for gradients, which are separate for each architecture."""


class CellPlan(NamedTuple):
    """Shapes of one cell and of the projections of its two inputs."""

    reduction: bool
    maps: Maps
    projections: tuple[Conv1x1, Conv1x1]
    edge_reduction: Conv1x1
    """Factorised reduction on an edge of a reduction cell."""


class Plan(NamedTuple):
    """Everything about a step that does not depend on the architectures."""

    cells: list[CellPlan]
    sizes: Tensor
    """Argument of `Tables.edges`."""
    projections: Tensor
    """Rows of the projections of the two inputs, int64 [cells, 2, S, `layout.CONV_COLUMNS`]."""


def make_plan(supernet: Supernet, children: int, stem: tuple[Tensor, Tensor]) -> Plan:
    """The plan for S architectures (`children`) after a stem with the two results `stem` (N × C × H × W)."""
    batch, device = len(stem[0]), stem[0].device
    # All architectures share the results of the stem, so consecutive ones are 0 elements apart; not so the gradients.
    sources = [Source(x.shape[2], x.shape[3], 1, x.shape[1], 0, 0, 0, x.numel()) for x in stem]
    cells: list[CellPlan] = []
    rows = []
    for index, shape in enumerate(supernet.shapes):
        # A cell reads the outputs of the two cells before it; the nearer one sets its resolution.
        before, last = sources[-2:]
        stride = 2 if shape.reduction else 1
        sides = (last.height, last.width, strided(last.height, stride), strided(last.width, stride))
        maps = Maps(children, batch, *sides, shape.channels)
        # After a reduction cell the farther input is twice as large; a factorised reduction (two halves) projects it.
        halves = 2 if shape.after_reduction else 1
        projections = (_projection(before, maps, halves), _projection(last, maps, 1))
        rows.append(
            [
                _projection_rows(supernet, f"cells.{index}.before", before, maps, halves, 0),
                _projection_rows(supernet, f"cells.{index}.last", last, maps, 1, 1),
            ]
        )
        # Skip connections of stride 2 are factorised reductions of a node's own size.
        reduced = Conv1x1(batch, maps.height, maps.width, maps.channels, 2, 1, maps.channels, 0)
        cells.append(CellPlan(shape.reduction, maps, projections, reduced))
        sources.append(_cell_source(maps))
    return Plan(cells, sizes_of([cell.maps for cell in cells], device), torch.tensor(rows, device=device))


def _cell_source(maps: Maps) -> Source:
    """The output of a cell: the concatenation of its nodes, each a block of channels."""
    size = maps.node_size
    sides = (maps.out_height, maps.out_width)
    return Source(*sides, NODES, maps.channels, maps.children * size, maps.node_start(0), size, size)


def _projection(source: Source, maps: Maps, halves: int) -> Conv1x1:
    """The projection that makes an input of a cell from `source`."""
    sides, inputs = (source.height, source.width), (source.blocks, source.channels, source.block_stride)
    return Conv1x1(maps.batch, *sides, maps.channels, halves, *inputs)


def _projection_rows(
    supernet: Supernet, name: str, source: Source, maps: Maps, halves: int, position: int
) -> list[list[int]]:
    """Table rows, one per architecture, of the projection that makes input `position` of a cell from `source`."""
    names = [name, name] if halves == 1 else [f"{name}.even", f"{name}.odd"]
    weights = [supernet.weights.start(each) for each in names]
    return [
        [
            source.start + child * source.stride,
            source.start + child * source.gradient_stride,
            maps.input_start(position) + child * maps.input_size,
            *weights,
        ]
        for child in range(maps.children)
    ]


class CellState(NamedTuple):
    """Results of a cell's forward pass that its backward pass reads."""

    states: Tensor
    """Inputs and nodes of every architecture, flat; see `layout.Maps`."""
    h: Tensor
    """Results of depthwise convolutions, [node, stage, 2S, N, H', W', C]."""
    z: Tensor
    """Results before batch norm, of the same shape; in place behind it where a second stage reads them."""
    statistics: Tensor
    """Batch statistics of `z`, [node, stage, 2S, 2, C]."""
    scales: Tensor
    """Batch statistics of the two inputs, [2, S, 2, C]."""


class Cells:
    """Runs cells with the weights of `shared` through the launches of `operations`."""

    def __init__(self, shared: SharedParameters, operations: Operations) -> None:
        self.shared, self.operations = shared, operations
        self.weights = shared.flat.detach()
        """Replaced at the start of each step by `Tables.weights` of the shared weights' current values."""

    def _partials(self, rows: int, pixels: int, channels: int) -> Tensor:
        return self.weights.new_empty(rows, tiles(pixels, channels), 2, channels)

    def forward(self, plan: CellPlan, rows: Rows, inputs: list[Tensor], keep: bool) -> CellState:
        """Run a cell on two flat buffers of maps.

        With `keep`, everything that the backward pass needs is kept; otherwise all nodes share one scratch buffer.
        """
        maps = plan.maps
        kept = NODES if keep else 1
        states = inputs[0].new_empty(maps.states_size)
        z = states.new_empty(kept, 2, maps.rows, maps.batch, maps.out_height, maps.out_width, maps.channels)
        h = torch.empty_like(z)
        statistics = self.weights.new_empty(kept, 2, maps.rows, 2, maps.channels)
        scales = self.weights.new_empty(2, maps.children, 2, maps.channels)
        # Project both inputs to the channels of this cell.
        for position, x in enumerate(inputs):
            self._project(plan, position, rows.projections[position], x, states, scales[position])
        # Nodes one after another, because each may read all before it.
        partials = self._partials(maps.rows, maps.pixels, maps.channels)
        for node in range(NODES):
            scratch = node if keep else 0
            self._node(plan, node, rows, states, h[scratch], z[scratch], statistics[scratch], partials)
        return CellState(states, h, z, statistics, scales)

    def _project(self, plan: CellPlan, position: int, rows: Tensor, x: Tensor, states: Tensor, scales: Tensor) -> None:
        """ReLU, 1 × 1 convolution and batch norm of one input of all architectures, into `states`."""
        maps, conv = plan.maps, plan.projections[position]
        z = _input_view(plan, position, states)
        partials = self._partials(maps.children, conv.pixels, maps.channels)
        self.operations.conv1x1(rows, self.weights, x, z, partials, conv)
        self.operations.statistics(partials, conv.pixels, scales)
        self.operations.normalise(z, scales, None)

    def _node(
        self,
        plan: CellPlan,
        node: int,
        rows: Rows,
        states: Tensor,
        h: Tensor,
        z: Tensor,
        statistics: Tensor,
        partials: Tensor,
    ) -> None:
        """One node of all architectures: its two active edges, batch norm, and their sum."""
        run, maps, edges = self.operations, plan.maps, rows.edges[node]
        # Every launch covers all 2S edges and skips those of other primitives, so none depends on the architectures.
        run.pool(edges, states, z[0], partials, maps)
        if plan.reduction:
            run.conv1x1(rows.reductions[node], self.weights, states, z[0], partials, plan.edge_reduction)
        # Separable convolutions have two stages, each followed by batch norm (dilated ones: one). The result of
        # the first is normalised once, before the taps of the second read it many times.
        for stage in range(2):
            run.separable(stage, edges, self.weights, states, h, z, partials, maps)
            run.statistics(partials, maps.pixels, statistics[stage])
            if stage == 0:
                run.normalise(z[0], statistics[0], edges)
        run.join(node, edges, states, z, statistics, maps)

    def backward(
        self,
        plan: CellPlan,
        rows: Rows,
        inputs: list[Tensor],
        saved: CellState,
        gradients: Tensor,
        targets: list[Tensor],
        last: bool,
    ) -> None:
        """Add the gradients of a cell's inputs to `targets` and those of its weights to `shared.gradient`.

        `gradients` holds those of the cell's nodes from later cells, and zero for its inputs; `last` if there are none.
        """
        for node in reversed(range(NODES)):
            self._node_backward(plan, node, rows, saved, gradients)
        for position, (projection, x, target) in enumerate(zip(plan.projections, inputs, targets, strict=True)):
            z, scales = _input_view(plan, position, saved.states), saved.scales[position]
            # Of the cells that read a map, the last one reads it as its farther input, and comes first on the way back.
            first = projection.halves == 1 and (position == 0 or last)
            self.operations.conv1x1_back(
                rows.projections[position],
                self.weights,
                x,
                z,
                scales,
                gradients,
                target,
                self.shared.gradient,
                projection,
                normalised=True,
                first=first,
            )

    def _node_backward(self, plan: CellPlan, node: int, rows: Rows, saved: CellState, gradients: Tensor) -> None:
        """Backward of `_node`: adds to the gradients of the states that the node read, and to those of the weights."""
        run, maps, states, edges = self.operations, plan.maps, saved.states, rows.edges[node]
        z, statistics = saved.z[node], saved.statistics[node]
        weight_gradient = self.shared.gradient
        run.separable_back(edges, self.weights, states, saved.h[node], z, statistics, gradients, weight_gradient, maps)
        # Pooling and skip connections have no weights.
        run.pool_back(edges, states, z[0], statistics[0], gradients, maps)
        if plan.reduction:
            run.conv1x1_back(
                rows.reductions[node],
                self.weights,
                states,
                z[0],
                statistics[0],
                gradients,
                gradients,
                weight_gradient,
                plan.edge_reduction,
                normalised=False,
                first=False,
            )


def _input_view(plan: CellPlan, position: int, states: Tensor) -> Tensor:
    """One input of all architectures among the states, [S, N, H, W, C]."""
    maps, start = plan.maps, plan.maps.input_start(position)
    shape = (maps.children, maps.batch, maps.height, maps.width, maps.channels)
    return states[start : start + maps.children * maps.input_size].view(shape)


def _node_view(maps: Maps, flat: Tensor) -> Tensor:
    """The nodes of all architectures among states or gradients, [4, S, N, H', W', C]."""
    shape = (NODES, maps.children, maps.batch, maps.out_height, maps.out_width, maps.channels)
    return flat[maps.node_start(0) : maps.states_size].view(shape)


class ForwardPass(NamedTuple):
    """A forward pass of S architectures, for its backward pass."""

    plan: Plan
    rows: Rows
    """Rows of all cells, cells first."""
    maps: list[Tensor]
    """Flat buffers that cells read: the two results of the stem, then the states of each cell."""
    cells: list[CellState]

    def new_gradients(self, position: int) -> Tensor:
        """A buffer for the gradients of `maps[position]`, separate for each architecture, even for the stem.

        It is zero where gradients are added up, but for the nodes of a cell, which another writes first.
        """
        cells = self.plan.cells
        if position < 2:
            return self.maps[0].new_zeros(cells[0].maps.children * self.maps[position].numel())
        maps = cells[position - 2].maps
        gradients = self.maps[0].new_empty(maps.gradients_size)
        # A factorised reduction reads half of the pixels, and writes no others.
        halved = position < len(cells) and cells[position].projections[0].halves == 2
        gradients[: maps.states_size if halved else maps.node_start(0)].zero_()
        return gradients


class FusedExecutor:
    """Runs S architectures of `supernet` at once, as data; fused kernels on CUDA, plain PyTorch elsewhere.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which the stem runs; the dtype of its results is that of all activations.
        in_flight: S; None for all architectures of a step.
        skip_negligible: leave out the backward pass of architectures whose weight cannot change the last digit of the
            gradient; decided on the device.
        launches: the operations, if not those of the device.

    Raises:
        UserError: CUDA without Triton.
    """

    device_driven = True

    def __init__(
        self,
        supernet: Supernet,
        autocast: Callable[[], AbstractContextManager[None]],
        in_flight: int | None = None,
        skip_negligible: bool = False,
        launches: Operations | None = None,
    ) -> None:
        self.supernet, self.autocast, self.in_flight = supernet, autocast, in_flight
        self.skip_negligible = skip_negligible
        shared = supernet.weights
        self._cells = Cells(shared, launches or operations(shared.flat.device))
        self._tables = Tables(shared, supernet.shapes, shared.flat.device)
        self._plans: dict[tuple[int, torch.Size, torch.Size], Plan] = {}

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture."""
        return self.logits_of(ArchitectureBatch.of([child], images.device), images)[0]

    def logits_of(self, children: ArchitectureBatch, images: Tensor) -> Tensor:
        """Logits (S × B × classes) of architectures on the device, all at once."""
        with torch.no_grad():
            return self._logits(children, self._stem(images))

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            stem = self._stem(images)
            negative = [summed_cross_entropy(self._logits(chunk, stem), labels) for chunk in self._chunks(children)]
            return -torch.cat(negative)

    def add_gradients(
        self,
        children: ArchitectureBatch,
        images: Tensor,
        labels: Tensor,
        temperature: float | Tensor,
        weights: OnlineWeights,
    ) -> None:
        """See `Executor.add_gradients`: S architectures forward, then backward with their weights, then the next S."""
        # The stem runs once for all; autograd records it, and its gradients are summed over all architectures.
        stem = self._stem(images)
        dtype, gradient = self.supernet.weights.flat.dtype, self.supernet.weights.gradient
        stem_gradients = [torch.zeros_like(x, dtype=dtype) for x in stem]
        for chunk in self._chunks(children):
            # Forward without autograd; only the classifier after the mean over pixels is recorded.
            with torch.no_grad():
                forward = self._forward(chunk, stem, keep=True)
                pooled = self._pooled(forward).requires_grad_()
            negative = summed_cross_entropy(self.supernet.classify(pooled), labels)
            # Online softmax: rescale what earlier chunks left if these hold a new largest log weight.
            keep, new = weights.add(-negative.detach() / temperature)
            gradient.mul_(keep)
            for x in stem_gradients:
                x.mul_(keep)
            # Backward of −(1/B) Σ_k exp(log w_k − m) log p(y|X,v,α_k): classifier by autograd, cells by kernels.
            (negative * (new / len(labels))).sum().backward()
            with torch.no_grad():
                rows = forward.rows.without_negligible(new, dtype) if self.skip_negligible else forward.rows
                self._backward(forward._replace(rows=rows), pooled, stem_gradients)
        torch.autograd.backward(stem, [x.to(stem[0].dtype) for x in stem_gradients])

    def _chunks(self, children: ArchitectureBatch) -> Iterator[ArchitectureBatch]:
        """At most S architectures at a time, in chunks of equal size where possible, because these share a plan."""
        count = -(-len(children) // (self.in_flight or len(children)))
        size = -(-len(children) // count)
        for start in range(0, len(children), size):
            yield children[start : start + size]

    def _stem(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Read the weights as they are now, and run the stem, which all architectures share."""
        self._cells.weights = self._tables.weights(self.supernet.weights.flat.detach())
        with self.autocast():
            return self.supernet.stem(images)

    def _plan(self, children: int, stem: tuple[Tensor, Tensor]) -> Plan:
        """The plan for these shapes; making it waits for the device, so it is cached."""
        key = (children, stem[0].shape, stem[1].shape)
        if key not in self._plans:
            self._plans[key] = make_plan(self.supernet, children, stem)
        return self._plans[key]

    def _forward(self, children: ArchitectureBatch, stem: tuple[Tensor, Tensor], keep: bool) -> ForwardPass:
        """Run all cells; without `keep`, maps are released as soon as no later cell reads them."""
        plan = self._plan(len(children), stem)
        # Architectures become table rows on the device.
        edges, reductions = self._tables.edges(children.table.to(plan.sizes.device, non_blocking=True), plan.sizes)
        rows = Rows(edges, reductions, plan.projections)
        # The kernels' layout is channels last, flat.
        maps = [x.detach().permute(0, 2, 3, 1).reshape(-1) for x in stem]
        cells = []
        for index, cell in enumerate(plan.cells):
            state = self._cells.forward(cell, rows.of_cell(index), maps[index : index + 2], keep)
            maps.append(state.states)
            if keep:
                cells.append(state)
            else:
                maps[index] = maps[index].new_empty(0)
        return ForwardPass(plan, rows, maps, cells)

    def _pooled(self, forward: ForwardPass) -> Tensor:
        """Mean over the pixels of the last cell's output, S × B × channels."""
        nodes = _node_view(forward.plan.cells[-1].maps, forward.maps[-1])
        return nodes.mean((3, 4), dtype=self.supernet.weights.flat.dtype).permute(1, 2, 0, 3).flatten(2)

    def _logits(self, children: ArchitectureBatch, stem: tuple[Tensor, Tensor]) -> Tensor:
        return self.supernet.classify(self._pooled(self._forward(children, stem, keep=False)))

    def _backward(self, forward: ForwardPass, pooled: Tensor, stem_gradients: list[Tensor]) -> None:
        """Backward through the cells, from the gradient of `pooled` to those of weights and stem."""
        plans, maps = forward.plan.cells, forward.maps
        # Gradients of the current cell's maps, of the previous cell's, and of the one before that.
        current, previous = forward.new_gradients(len(plans) + 1), forward.new_gradients(len(plans))
        # Every pixel of the last cell has an equal share of the gradient of the mean.
        last = plans[-1].maps
        assert pooled.grad is not None
        share = pooled.grad.unflatten(2, (NODES, last.channels)).permute(2, 0, 1, 3)
        share = share / (last.out_height * last.out_width)
        _node_view(last, current).copy_(share[:, :, :, None, None])
        for index in reversed(range(len(plans))):
            before = forward.new_gradients(index)
            inputs, saved = maps[index : index + 2], forward.cells.pop()
            rows = forward.rows.of_cell(index)
            last_cell = index == len(plans) - 1
            self._cells.backward(plans[index], rows, inputs, saved, current, [before, previous], last_cell)
            # Release the maps of this cell, and step back by one.
            maps.pop()
            current, previous = previous, before
        # The two results of the stem: sum over architectures, and back to channels first.
        for total, gradients in zip(stem_gradients, (previous, current), strict=True):
            batch, channels, height, width = total.shape
            summed = gradients.view(-1, batch, height, width, channels).sum(0, dtype=total.dtype)
            total.add_(summed.permute(0, 3, 1, 2))
