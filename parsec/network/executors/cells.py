"""One cell of S children forward and backward, as launches that are the same for every architecture."""

from typing import NamedTuple

from torch import Tensor

from parsec.network.bank import Bank
from parsec.network.executors.plan import CellPlan, Projection
from parsec.network.executors.rows import Rows
from parsec.network.kernels import tables
from parsec.network.kernels.operations import Operations
from parsec.network.kernels.shapes import tiles
from parsec.space.darts import NODES


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

    def __init__(self, bank: Bank, operations: Operations) -> None:
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
            places = rows[:, tables.MIX_EVEN + half]
            self.operations.deposit(partials[:, half], places, projection.sizes, self.bank.gradient)

    def _node_back(self, plan: CellPlan, node: int, rows: Rows, saved: CellState, gradients: Tensor) -> None:
        run, maps, states, picks = self.operations, plan.maps, saved.states, rows.picks[node]
        z, statistics = saved.z[node], saved.statistics[node]
        for stage in (1, 0):
            found = run.separable_back(stage, picks, self.weights, states, z, statistics, gradients, maps)
            shift = stage * tables.STAGE
            sizes = (picks[:, tables.DEPTHWISE_SIZE], plan.pointwise_sizes)
            for partials, column, size in zip(found, (tables.DEPTHWISE, tables.POINTWISE), sizes, strict=True):
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
