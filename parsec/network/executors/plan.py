"""What a step of S children needs to know of a network and a minibatch's shape: made once for every shape."""

from typing import NamedTuple

import torch
from torch import Tensor

from parsec.network.cost import strided
from parsec.network.kernels.shapes import Maps, Mixing
from parsec.network.kernels.tables import sizes_of
from parsec.network.supernet import Supernet
from parsec.space.darts import NODES


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
