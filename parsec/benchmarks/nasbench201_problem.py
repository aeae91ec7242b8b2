"""NAS-Bench-201 as a problem for simulated searches; an architecture is its index in the benchmark's files."""

from collections.abc import Sequence
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray

from parsec.benchmarks.nasbench201 import Data, SearchColumns
from parsec.benchmarks.problem import Graphs
from parsec.space.nasbench201 import EDGES, NODES, OPERATIONS, SIZE, Architecture, index_of

INPUT, OUTPUT = len(EDGES), len(EDGES) + 1
"""Vertices after those of the operations."""


class NasBench201:
    """The 15,625 architectures with their accuracy after 12 epochs on the validation half of one data set."""

    name = "nasbench201"
    choices: Sequence[int] = (len(OPERATIONS),) * len(EDGES)

    def __init__(self, columns: SearchColumns, data: Data = "cifar10") -> None:
        self._architectures = columns.architectures
        self.reached = columns.validation[data]
        self.everything: Sequence[int] | None = range(SIZE)

    def draw(self, count: int, rng: np.random.Generator) -> list[int]:
        """See `Problem.draw`."""
        return [int(index) for index in rng.integers(SIZE, size=count)]

    @cached_property
    def _neighbours(self) -> NDArray[np.int32]:
        """[15625, 24]."""
        return np.array([[index_of(other) for other in found.neighbours()] for found in self._architectures], np.int32)

    def neighbours(self, found: int) -> list[int]:
        """The 24 that differ in one edge."""
        return [int(index) for index in self._neighbours[found]]

    def of_choices(self, chosen: Sequence[int]) -> int:
        """The architecture with these operations on its six edges."""
        return index_of(Architecture(tuple(OPERATIONS[choice] for choice in chosen)))

    def accuracy(self, found: int) -> float:
        """Percent."""
        return float(self.reached[found])

    @cached_property
    def _features(self) -> NDArray[np.float32]:
        """[15625, 8, 7]: one-hot operations of the edges, then input and output."""
        kinds = np.array([[OPERATIONS.index(op) for op in found.operations] for found in self._architectures])
        ends = np.broadcast_to([len(OPERATIONS), len(OPERATIONS) + 1], (len(kinds), 2))
        one_hot: NDArray[np.float32] = np.eye(len(OPERATIONS) + 2, dtype=np.float32)[
            np.concatenate([kinds, ends], axis=1)
        ]
        return one_hot

    def graphs(self, found: Sequence[int]) -> Graphs:
        """Vertices are the operations of the six edges, the input and the output of the cell."""
        chosen = np.asarray(found, dtype=np.int64)
        return Graphs(np.broadcast_to(_ADJACENCY, (len(chosen), *_ADJACENCY.shape)), self._features[chosen])


def _adjacency() -> NDArray[np.float32]:
    """An operation leads to every operation that reads the node it adds to."""
    found = np.zeros((len(EDGES) + 2, len(EDGES) + 2), np.float32)
    for (first, (source, node)), (second, (other, _)) in product(enumerate(EDGES), enumerate(EDGES)):
        found[INPUT, first] = source == 0
        found[first, OUTPUT] = node == NODES - 1
        found[first, second] = node == other
    return found


_ADJACENCY = _adjacency()
