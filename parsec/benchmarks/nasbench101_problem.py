"""NAS-Bench-101, or a part of it, as a problem for simulated searches; an architecture is its number in the table."""

from collections.abc import Sequence

import numpy as np

from parsec.benchmarks.nasbench101 import SearchColumns
from parsec.benchmarks.problem import Graphs
from parsec.space.nasbench101 import INPUT, OPERATIONS, OUTPUT, VERTICES, Architecture
from parsec.space.nasbench101_edits import neighbours

LABELS = (INPUT, *OPERATIONS, OUTPUT)
FURTHEST = 3
"""Most edits after which a neighbour is looked for: in a part of the table the next cell may be more than one away."""


class NasBench101:
    """The architectures of a table with their validation accuracy after 108 epochs."""

    name = "nasbench101"

    def __init__(self, columns: SearchColumns) -> None:
        self.architectures = columns.architectures
        self.reached = columns.validation
        self.seconds = columns.seconds
        self.everything: Sequence[int] | None = range(len(columns.architectures))
        self._place = {name: place for place, name in enumerate(columns.hashes)}
        self._known: dict[int, list[int]] = {}

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """See `Problem.draw`."""
        return [int(place) for place in rng.integers(len(self.architectures), size=count)]

    def neighbours(self, found: int) -> list[int]:
        """Those of the table that are one edit away; where it holds none, those that the fewest edits lead to.

        Empty only in a table that is so small that three edits lead to none.
        """
        if found not in self._known:
            self._known[found] = self._nearest(found)
        return self._known[found]

    def _nearest(self, found: int) -> list[int]:
        """Rings of cells around one, each an edit further, until one holds a cell of the table."""
        ring = {str(self.architectures[found]): self.architectures[found]}
        for _ in range(FURTHEST):
            ring = {other.canonical(): other for each in ring.values() for other in neighbours(each)}
            if inside := sorted({self._place[name] for name in ring if name in self._place} - {found}):
                return inside
        return []

    def accuracy(self, found: int) -> float:
        """Percent."""
        return float(self.reached[found])

    def graphs(self, found: Sequence[int]) -> Graphs:
        """Vertices are those of the cell, the output right after the last operation: V = 7, F = 5."""
        adjacency = np.zeros((len(found), VERTICES, VERTICES), np.float32)
        features = np.zeros((len(found), VERTICES, len(LABELS)), np.float32)
        for row, each in enumerate(found):
            _fill(adjacency[row], features[row], self.architectures[each])
        return Graphs(adjacency, features)


def _fill(adjacency: np.ndarray, features: np.ndarray, found: Architecture) -> None:
    size = len(found.operations)
    adjacency[:size, :size] = found.matrix
    features[range(size), [LABELS.index(name) for name in found.operations]] = 1
