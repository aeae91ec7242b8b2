"""Several children of the shared weights at once: their maps lie side by side along channels.

Children whose maps are computed alike share them: two children that agree on everything below a state hold it once. So
the first cell's inputs are computed once for all, and the children of a π that has settled cost little more than one.

B images, C channels, H × W pixels, S children, U different maps among them.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.channels_last import join, pieces
from parsec.network.layers import pool
from parsec.network.sides import edge_stride
from parsec.network.stack import CellShape
from parsec.network.supernet import SKIP, Supernet, needs_relu
from parsec.runtime.device import to_device
from parsec.space.darts import NODES
from parsec.space.genotype import Cell, Genotype


class State:
    """One state of a cell in all children: U different maps [B, U C, H, W], and which of them each child holds."""

    def __init__(self, maps: Tensor, channels: int, owners: Sequence[int]) -> None:
        self.maps, self.owners, self._channels = maps, owners, channels
        self._pieces: dict[bool, tuple[Tensor, ...]] = {}

    def piece(self, number: int, rectified: bool) -> Tensor:
        """One map [B, C, H, W], before or after ReLU, which is computed once for all maps."""
        if rectified not in self._pieces:
            self._pieces[rectified] = pieces(F.relu(self.maps) if rectified else self.maps, self._channels)
        return self._pieces[rectified][number]


class Pick(NamedTuple):
    """A primitive on one map of one state; picks that are equal are computed once."""

    primitive: str
    source: int
    map: int


class Place(NamedTuple):
    """A cell of the stack."""

    supernet: Supernet
    number: int
    shape: CellShape


def stacked_logits(supernet: Supernet, children: Sequence[Genotype], images: Tensor) -> Tensor:
    """Logits (S × B × classes) of S children on `images` (B × 3 × H × W)."""
    before, last = (State(maps, maps.shape[1], [0] * len(children)) for maps in supernet.stem(images))
    for index, shape in enumerate(supernet.shapes):
        place, cells = Place(supernet, index, shape), [getattr(child, shape.kind) for child in children]
        states = _cell(place, cells, before, last)
        before, last = last, _output(states, NODES * shape.channels, rectified=index < len(supernet.shapes) - 1)
    features = last.maps.mean((2, 3), dtype=supernet.bank.flat.dtype)
    logits = supernet.classify(features.unflatten(1, (max(last.owners) + 1, -1)))
    return logits.transpose(0, 1).index_select(0, to_device(torch.tensor(last.owners), logits.device))


def _cell(place: Place, cells: Sequence[Cell], before: State, last: State) -> list[State]:
    """The nodes of one cell of every child, on the rectified outputs of the two cells before."""
    channels = place.shape.channels
    aligned = place.supernet.align(place.number, place.shape, before.maps, last.maps)
    states = [State(maps, channels, whole.owners) for maps, whole in zip(aligned, (before, last), strict=True)]
    for node in range(NODES):
        picks = [
            sorted(Pick(edge.primitive, edge.input, states[edge.input].owners[child]) for edge in cell[node])
            for child, cell in enumerate(cells)
        ]
        results = _results(place, node, states, sorted({pick for pair in picks for pick in pair}))
        owners, firsts = _numbered([tuple(pair) for pair in picks])
        slots = (join([results[picks[child][slot]] for child in firsts]) for slot in range(len(picks[0])))
        states.append(State(sum(slots, start=next(slots)), channels, owners))
    return states[2:]


def _numbered(keys: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """The number of every key among the different ones, and where each of those stands first."""
    numbers: dict[Hashable, int] = {}
    owners = [numbers.setdefault(key, len(numbers)) for key in keys]
    return owners, [owners.index(number) for number in range(len(numbers))]


def _results(place: Place, node: int, states: Sequence[State], picks: Sequence[Pick]) -> dict[Pick, Tensor]:
    """The map [B, C, H, W] of every pick; those of one primitive and stride are computed together."""
    groups: dict[tuple[str, int], list[Pick]] = {}
    for pick in picks:
        groups.setdefault((pick.primitive, edge_stride(place.shape, pick.source)), []).append(pick)
    results: dict[Pick, Tensor] = {}
    for (primitive, stride), members in groups.items():
        rectified = needs_relu(primitive, stride)
        inputs = [states[pick.source].piece(pick.map, rectified) for pick in members]
        if primitive == SKIP and not rectified:
            results |= zip(members, inputs, strict=True)
            continue
        edges = [(node, pick.source) for pick in members]
        if rectified:
            maps = place.supernet.convolve(place.number, primitive, edges, stride, join(inputs))
        else:
            maps = pool(primitive, join(inputs), stride)
        results |= zip(members, pieces(maps, place.shape.channels), strict=True)
    return results


def _output(states: Sequence[State], channels: int, rectified: bool) -> State:
    """The concatenated nodes of every child, after ReLU for the cells that follow or as they are for the classifier."""
    owners, firsts = _numbered(list(zip(*(state.owners for state in states), strict=True)))
    parts = [state.piece(state.owners[child], rectified) for child in firsts for state in states]
    return State(join(parts), channels, owners)
