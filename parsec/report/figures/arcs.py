"""Where the arcs of a drawn cell run: nodes on a line, the two edges of a node on either side of it.

Units are the distance between neighbours. An edge that skips more nodes rises higher, so that no two arcs of one side
run along each other; which edge goes above is free, and chosen for few crossings.
"""

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.space.genotype import Cell

HEIGHT = 0.2
BASE = 0.08
RADIUS = 0.2
"""Radius of a node, on which arcs start and end."""
FAN, ARRIVES = 0.045, -0.1
"""How far beside the middle of a node arcs start, for every longer one beside them, and end."""
LABEL = (0.6, 0.19)
"""Width and height that a label takes, its margin included."""

Points = NDArray[np.float64]


class Arc(NamedTuple):
    """One edge: where it starts and ends on the line, its side (1 above, −1 below) and its primitive."""

    source: int
    target: int
    side: int
    primitive: str
    fan: int = 0
    """How many longer arcs leave the same side of the source; they start further left."""

    def control(self) -> Points:
        """The four control points of its cubic Bézier curve, 4 × 2."""
        leaves = FAN * self.fan
        start, end = self.source + leaves, self.target + ARRIVES
        rise = (BASE + HEIGHT * (self.target - self.source)) * self.side
        lean = 0.12 * (end - start)
        first, last = (self.side * (RADIUS**2 - aside**2) ** 0.5 for aside in (leaves, ARRIVES))
        peak = self.side * RADIUS + 4 / 3 * rise
        return np.array([[start, first], [start + lean, peak], [end - lean, peak], [end, last]])

    def at(self, t: float | Points) -> Points:
        """Points of the curve at parameters in [0, 1]."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))[:, None]
        a, b, c, d = self.control()
        points: Points = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
        return points


def _arcs(cell: Cell, flipped: tuple[bool, ...]) -> list[Arc]:
    arcs = []
    for node, (edges, flip) in enumerate(zip(cell, flipped, strict=True)):
        for slot, edge in enumerate(edges):
            side = -1 if (slot == 1) != flip else 1
            arcs.append(Arc(edge.input, node + 2, side, edge.primitive))
    return [arc._replace(fan=_longer(arc, arcs)) for arc in arcs]


def _longer(arc: Arc, arcs: list[Arc]) -> int:
    return sum((a.source, a.side) == (arc.source, arc.side) and a.target > arc.target for a in arcs)


def _crossings(arcs: list[Arc]) -> int:
    pairs = [(a, b) for a in arcs for b in arcs if a.side == b.side]
    return sum(a.source < b.source < a.target < b.target for a, b in pairs)


def _same_rise(arcs: list[Arc]) -> int:
    """Arcs of one side that start together: they leave their source along each other."""
    return sum(a.side == b.side and a.source == b.source for i, a in enumerate(arcs) for b in arcs[:i])


def route(cell: Cell) -> list[Arc]:
    """The arcs of a cell with the fewest crossings, the first such assignment of sides."""
    choices = [_arcs(cell, flipped) for flipped in product((False, True), repeat=len(cell))]
    return min(choices, key=lambda arcs: (_crossings(arcs), _same_rise(arcs)))


def _hits(centre: Points, arc: Arc, arcs: list[Arc], taken: list[Points]) -> tuple[int, int]:
    """Labels that a label at `centre` would overlap, and points of other arcs that it would cover."""
    size = np.array(LABEL)
    overlaps = sum(bool((abs(other - centre) < size).all()) for other in taken)
    covered = 0
    for other in arcs:
        if other is not arc:
            covered += int((abs(other.at(np.linspace(0, 1, 80)) - centre) < size / 2).all(axis=1).sum())
    return overlaps, covered


def label_places(arcs: list[Arc]) -> list[Points]:
    """Centre of each arc's label, on the arc: where it overlaps no other label and covers least of other arcs."""
    taken: list[Points] = []
    spots = sorted(np.linspace(0.3, 0.7, 21).tolist(), key=lambda t: abs(t - 0.5))
    for arc in arcs:
        places = [arc.at(t)[0] for t in spots]
        taken.append(min(places, key=lambda place: _hits(place, arc, arcs, taken)))
    return taken
