"""The tables that the launches of a step read."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple, Self

import torch
from torch import Tensor

from parsec.network.cost import strided
from parsec.network.kernels import layout
from parsec.network.kernels.interface import Operations, operations
from parsec.network.kernels.layout import Maps, Mixing, Tables, sizes_of, tiles
from parsec.network.supernet import SharedParameters, Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import summed_cross_entropy
from parsec.space.darts import NODES, SLOTS, Genotype


class Rows(NamedTuple):
    """What the launches of a cell read, int64; in a row that is left out every number is −1."""

    picks: Tensor
    """[node, 2S, `tables.PICK_COLUMNS`]."""
    halvings: Tensor
    """Those picks that are factorised reductions, [node, 2S, `tables.MIX_COLUMNS`]."""
    projections: Tensor
    """Of the two inputs, [2, S, `tables.MIX_COLUMNS`]."""

    def of_cell(self, index: int) -> Self:
        """Those of one cell, of rows of all cells."""
        return type(self)(*(each[index] for each in self))

    def without_negligible(self, share: Tensor, dtype: torch.dtype) -> Self:
        """All but those of children whose share of the gradient (S) is lost in the rounding of the largest one's."""
        dead = (share < torch.finfo(dtype).eps / 2).view(-1, 1)
        slots = dead.repeat_interleave(SLOTS, 0)
        picks, halvings = self.picks.masked_fill(slots, -1), self.halvings.masked_fill(slots, -1)
        return type(self)(picks, halvings, self.projections.masked_fill(dead, -1))


class Source(NamedTuple):
    """Where maps lie that a cell takes as an input: those of the stem, shared by all children, or of a cell."""

    height: int
    width: int
    blocks: int
    channels: int
    """Channels of a block: a cell's nodes are four of them."""
    block_stride: int
    start: int
    stride: int
    """Elements from one child's maps to the next one's; 0 for the stem."""
    gradient_stride: int
    """The same for gradients, of which each child has its own."""


class Projection(NamedTuple):
    """How a cell's input is made."""

    mixing: Mixing
    sizes: Tensor
    """Numbers in the weights of one half, once a row, for `deposit`."""


class CellPlan(NamedTuple):
    """One cell: its maps, and the projections of its two inputs."""

    reduction: bool
    maps: Maps
    projections: tuple[Projection, Projection]
    halving: Projection
    """The same for an edge that is a factorised reduction."""
    pointwise_sizes: Tensor


class Plan(NamedTuple):
    """All cells, and the sizes that `Tables.picks` wants."""

    cells: list[CellPlan]
    sizes: Tensor
    projections: Tensor
    """Rows of the projections of the two inputs, int64 [cells, 2, S, `tables.MIX_COLUMNS`]."""


def make_plan(supernet: Supernet, children: int, stem: tuple[Tensor, Tensor]) -> Plan:
    """The plan for S children whose stem's two results are `stem` (N × C × H × W)."""
    sources = [_stem_source(each) for each in stem]
    batch, device = len(stem[0]), stem[0].device
    cells: list[CellPlan] = []
    rows = []
    for index, shape in enumerate(supernet.shapes):
        before, last = sources[-2:]
        stride = 2 if shape.reduction else 1
        sides = (last.height, last.width, strided(last.height, stride), strided(last.width, stride))
        maps = Maps(children, batch, *sides, shape.channels)
        halves = 2 if shape.after_reduction else 1
        rows.append(
            [
                _rows(supernet, f"cells.{index}.before", before, maps, halves, 0),
                _rows(supernet, f"cells.{index}.last", last, maps, 1, 1),
            ]
        )
        projections = (_projection(before, maps, halves, device), _projection(last, maps, 1, device))
        reduced = Mixing(batch, maps.height, maps.width, maps.channels, 2, 1, maps.channels, 0)
        full = torch.full((maps.rows,), maps.channels**2, device=device)
        cells.append(CellPlan(shape.reduction, maps, projections, Projection(reduced, full // 2), full))
        sources.append(_cell_source(maps))
    return Plan(cells, sizes_of([cell.maps for cell in cells], device), torch.tensor(rows, device=device))


def _stem_source(x: Tensor) -> Source:
    return Source(x.shape[2], x.shape[3], 1, x.shape[1], 0, 0, 0, x.numel())


def _cell_source(maps: Maps) -> Source:
    block = maps.children * maps.node_size
    size = maps.node_size
    return Source(maps.out_height, maps.out_width, NODES, maps.channels, block, maps.node_start(0), size, size)


def _projection(source: Source, maps: Maps, halves: int, device: torch.device) -> Projection:
    """How an input of a cell is made from `source`."""
    sides, inputs = (source.height, source.width), (source.blocks, source.channels, source.block_stride)
    mixing = Mixing(maps.batch, *sides, maps.channels, halves, *inputs)
    return Projection(mixing, torch.full((maps.children,), mixing.weight_size, device=device))


def _rows(supernet: Supernet, name: str, source: Source, maps: Maps, halves: int, number: int) -> list[list[int]]:
    """Rows of the projection that makes input `number` of a cell from `source`, one a child."""
    parts = [name] if halves == 1 else [f"{name}.even", f"{name}.odd"]
    weights = [supernet.bank.start(part) for part in (*parts, parts[0])[:2]]
    return [
        [
            source.start + child * source.stride,
            source.start + child * source.gradient_stride,
            maps.input_start(number) + child * maps.input_size,
            *weights,
        ]
        for child in range(maps.children)
    ]


class CellState(NamedTuple):
    """What a cell's forward pass leaves for its backward pass."""

    states: Tensor
    """Inputs and nodes of every child, flat, see `shapes.Maps`."""
    z: Tensor
    """Results before batch norm [node, stage, 2S, N, H', W', C]."""
    statistics: Tensor
    """Of `z`, [node, stage, 2S, 2, C]."""
    scales: Tensor
    """Statistics of the two inputs [2, S, 2, C]."""


class Cells:
    """Runs cells with weights of `bank` and the launches of `operations`."""

    def __init__(self, bank: SharedParameters, operations: Operations) -> None:
        self.bank, self.operations = bank, operations
        self.weights = bank.flat.detach()
        """Replaced at the start of every step by `Tables.weights` of what the bank then holds."""

    def _partials(self, rows: int, pixels: int, channels: int) -> Tensor:
        return self.weights.new_empty(rows, tiles(pixels, channels), 2, channels)

    def forward(self, plan: CellPlan, rows: Rows, inputs: list[Tensor], keep: bool) -> CellState:
        """Run a cell on two flat buffers of maps; without `keep`, nodes share the scratch for all but the states."""
        maps = plan.maps
        states = inputs[0].new_empty(maps.states_size)
        kept = NODES if keep else 1
        side = (maps.batch, maps.out_height, maps.out_width, maps.channels)
        z = states.new_empty(kept, 2, maps.rows, *side)
        statistics = self.weights.new_empty(kept, 2, maps.rows, 2, maps.channels)
        scales = self.weights.new_empty(2, maps.children, 2, maps.channels)
        for number, x in enumerate(inputs):
            self._project(plan, number, rows.projections[number], x, states, scales[number])
        partials = self._partials(maps.rows, maps.pixels, maps.channels)
        for node in range(NODES):
            at = node if keep else 0
            self._node(plan, node, rows, states, z[at], statistics[at], partials)
        return CellState(states, z, statistics, scales)

    def _project(self, plan: CellPlan, number: int, rows: Tensor, x: Tensor, states: Tensor, scales: Tensor) -> None:
        maps, projection = plan.maps, plan.projections[number]
        z = _input_view(plan, number, states)
        partials = self._partials(maps.children, projection.mixing.pixels, maps.channels)
        self.operations.mix(rows, self.weights, x, z, partials, projection.mixing)
        self.operations.statistics(partials, projection.mixing.pixels, scales)
        self.operations.normalise(z, scales)

    def _node(
        self,
        plan: CellPlan,
        node: int,
        rows: Rows,
        states: Tensor,
        z: Tensor,
        statistics: Tensor,
        partials: Tensor,
    ) -> None:
        run, maps, picks = self.operations, plan.maps, rows.picks[node]
        run.pool(picks, states, z[0], partials, maps)
        if plan.reduction:
            run.mix(rows.halvings[node], self.weights, states, z[0], partials, plan.halving.mixing)
        for stage in range(2):
            run.separable(stage, picks, self.weights, states, z, statistics, partials, maps)
            run.statistics(partials, maps.pixels, statistics[stage])
        run.join(node, picks, states, z, statistics, maps)

    def backward(
        self,
        plan: CellPlan,
        rows: Rows,
        inputs: list[Tensor],
        saved: CellState,
        gradients: Tensor,
        targets: list[Tensor],
    ) -> None:
        """Add the gradients of a cell's inputs to `targets` and those of its weights to the bank's.

        `gradients` holds those of the cell's nodes, from what reads them outside, and zero for its inputs.
        """
        for node in reversed(range(NODES)):
            self._node_back(plan, node, rows, saved, gradients)
        for number, (projection, x, target) in enumerate(zip(plan.projections, inputs, targets, strict=True)):
            chosen, z = rows.projections[number], _input_view(plan, number, saved.states)
            scales = saved.scales[number]
            partials = self.operations.mix_back(
                chosen, self.weights, x, z, scales, gradients, target, projection.mixing, normalised=True
            )
            self._deposit_mixed(partials, chosen, projection)

    def _deposit_mixed(self, partials: Tensor, rows: Tensor, projection: Projection) -> None:
        for half in range(projection.mixing.halves):
            places = rows[:, layout.MIX_EVEN + half]
            self.operations.deposit(partials[:, half], places, projection.sizes, self.bank.gradient)

    def _node_back(self, plan: CellPlan, node: int, rows: Rows, saved: CellState, gradients: Tensor) -> None:
        run, maps, states, picks = self.operations, plan.maps, saved.states, rows.picks[node]
        z, statistics = saved.z[node], saved.statistics[node]
        for stage in (1, 0):
            found = run.separable_back(stage, picks, self.weights, states, z, statistics, gradients, maps)
            shift = stage * layout.STAGE
            sizes = (picks[:, layout.DEPTHWISE_SIZE], plan.pointwise_sizes)
            for partials, column, size in zip(found, (layout.DEPTHWISE, layout.POINTWISE), sizes, strict=True):
                run.deposit(partials, picks[:, column + shift], size, self.bank.gradient)
        run.pool_back(picks, states, z[0], statistics[0], gradients, maps)
        if plan.reduction:
            chosen, mixing = rows.halvings[node], plan.halving.mixing
            partials = run.mix_back(
                chosen, self.weights, states, z[0], statistics[0], gradients, gradients, mixing, normalised=False
            )
            self._deposit_mixed(partials, chosen, plan.halving)


def _input_view(plan: CellPlan, number: int, states: Tensor) -> Tensor:
    """One input of all children among the states, [S, N, H, W, C]."""
    maps, start = plan.maps, plan.maps.input_start(number)
    shape = (maps.children, maps.batch, maps.height, maps.width, maps.channels)
    return states[start : start + maps.children * maps.input_size].view(shape)


class _Pass(NamedTuple):
    """A forward pass of S children, for its backward pass."""

    plan: Plan
    rows: Rows
    """Those of all cells, cells first."""
    maps: list[Tensor]
    """Flat buffers that cells read: the stem's two results, then the states of every cell."""
    cells: list[CellState]


class FusedExecutor:
    """Runs S children of `supernet` at once, as data; fused kernels on CUDA, plain PyTorch elsewhere.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which the stem runs; its results' precision is that of all activations.
        in_flight: S; None for all children of a step.
        skip_negligible: leave out the backward pass of children whose weight cannot change the gradient's last digit;
            the device itself sees which ones.
        launches: the operations, if not those that the device wants.

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
        bank = supernet.bank
        self._cells = Cells(bank, launches or operations(bank.flat.device))
        self._tables = Tables(bank, supernet.shapes, bank.flat.device)
        self._plans: dict[tuple[int, torch.Size, torch.Size], Plan] = {}

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        with torch.no_grad():
            return self._logits(ArchitectureBatch.of([child], images.device), self._begin(images))[0]

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            stem = self._begin(images)
            parts = [summed_cross_entropy(self._logits(part, stem), labels) for part in self._parts(children)]
            return -torch.cat(parts)

    def add_gradients(
        self,
        children: ArchitectureBatch,
        images: Tensor,
        labels: Tensor,
        temperature: float | Tensor,
        weights: OnlineWeights,
    ) -> None:
        """See `Executor.add_gradients`: S children forward, then backward with their weights, then the next S."""
        stem = self._begin(images)
        wide = self.supernet.bank.flat.dtype
        stem_gradients = [torch.zeros_like(each, dtype=wide) for each in stem]
        for part in self._parts(children):
            with torch.no_grad():
                done = self._forward(part, stem, keep=True)
                pooled = self._pooled(done).requires_grad_()
            negative = summed_cross_entropy(self.supernet.classify(pooled), labels)
            keep, new = weights.add(-negative.detach() / temperature)
            self.supernet.bank.gradient.mul_(keep)
            for each in stem_gradients:
                each.mul_(keep)
            (negative * (new / len(labels))).sum().backward()
            with torch.no_grad():
                rows = done.rows.without_negligible(new, wide) if self.skip_negligible else done.rows
                self._backward(done._replace(rows=rows), pooled, stem_gradients)
        torch.autograd.backward(stem, [each.to(stem[0].dtype) for each in stem_gradients])

    def _parts(self, children: ArchitectureBatch) -> Iterator[ArchitectureBatch]:
        """At most S children at a time, in parts as equal as can be, because parts of one size share a plan."""
        size = -(-len(children) // -(-len(children) // (self.in_flight or len(children))))
        for start in range(0, len(children), size):
            yield children[start : start + size]

    def _begin(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Read the weights and run the stem, which all children share."""
        self._cells.weights = self._tables.weights(self.supernet.bank.flat.detach())
        with self.autocast():
            return self.supernet.stem(images)

    def _plan(self, children: int, stem: tuple[Tensor, Tensor]) -> Plan:
        """The plan for these shapes; making it waits for the device, finding it again does not."""
        key = (children, stem[0].shape, stem[1].shape)
        if key not in self._plans:
            self._plans[key] = make_plan(self.supernet, children, stem)
        return self._plans[key]

    def _forward(self, children: ArchitectureBatch, stem: tuple[Tensor, Tensor], keep: bool) -> _Pass:
        plan = self._plan(len(children), stem)
        picks, halvings = self._tables.picks(children.table.to(plan.sizes.device, non_blocking=True), plan.sizes)
        rows = Rows(picks, halvings, plan.projections)
        maps = [each.detach().permute(0, 2, 3, 1).reshape(-1) for each in stem]
        cells = []
        for index, cell in enumerate(plan.cells):
            done = self._cells.forward(cell, rows.of_cell(index), maps[index : index + 2], keep)
            maps.append(done.states)
            if keep:
                cells.append(done)
            else:
                maps[index] = maps[index].new_empty(0)
        return _Pass(plan, rows, maps, cells)

    def _pooled(self, done: _Pass) -> Tensor:
        """Mean over the pixels of the last cell's output, S × B × channels."""
        nodes = _nodes(done.plan.cells[-1].maps, done.maps[-1])
        return nodes.mean((3, 4), dtype=self.supernet.bank.flat.dtype).permute(1, 2, 0, 3).flatten(2)

    def _logits(self, children: ArchitectureBatch, stem: tuple[Tensor, Tensor]) -> Tensor:
        return self.supernet.classify(self._pooled(self._forward(children, stem, keep=False)))

    def _backward(self, done: _Pass, pooled: Tensor, stem_gradients: list[Tensor]) -> None:
        """Backward through the cells, from the gradient of `pooled` to those of weights and stem."""
        plans, maps = done.plan.cells, done.maps
        own, last = _zeros(done, len(plans) + 1), _zeros(done, len(plans))
        _spread(pooled, plans[-1].maps, own)
        for index in reversed(range(len(plans))):
            before = _zeros(done, index)
            inputs, saved = maps[index : index + 2], done.cells.pop()
            self._cells.backward(plans[index], done.rows.of_cell(index), inputs, saved, own, [before, last])
            maps.pop()
            own, last = last, before
        for total, part in zip(stem_gradients, (last, own), strict=True):
            batch, channels, height, width = total.shape
            summed = part.view(-1, batch, height, width, channels).sum(0, dtype=total.dtype)
            total.add_(summed.permute(0, 3, 1, 2))


def _zeros(done: _Pass, position: int) -> Tensor:
    """A buffer for the gradients of the maps at `position` of a pass; every child has its own of the stem's maps."""
    cells = done.plan.cells
    if position < 2:
        return done.maps[0].new_zeros(cells[0].maps.children * done.maps[position].numel())
    return done.maps[0].new_zeros(cells[position - 2].maps.gradients_size)


def _nodes(maps: Maps, flat: Tensor) -> Tensor:
    """The nodes of all children among states or gradients, [4, S, N, H', W', C]."""
    shape = (NODES, maps.children, maps.batch, maps.out_height, maps.out_width, maps.channels)
    return flat[maps.node_start(0) : maps.states_size].view(shape)


def _spread(pooled: Tensor, maps: Maps, gradients: Tensor) -> None:
    """Give every pixel of the last cell's nodes its share of the gradient of their mean."""
    assert pooled.grad is not None
    share = pooled.grad.unflatten(2, (NODES, maps.channels)).permute(2, 0, 1, 3) / (maps.out_height * maps.out_width)
    _nodes(maps, gradients).copy_(share[:, :, :, None, None])
