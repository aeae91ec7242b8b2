"""The DARTS space as a problem for searches: about 10^18 architectures and a score of each that is asked for."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from parsec.space import darts
from parsec.space.darts import CELLS, NODES, PRIMITIVES, SLOTS, Cell, Genotype
from parsec.space.spaces import DARTS
from parsec.tabular.problem import Graphs

FloatArray = NDArray[np.float64]
KINDS = (*PRIMITIVES, "input 0", "input 1", "output")
INPUTS = 2
EDGES = NODES * SLOTS
VERTICES = INPUTS + EDGES + 1
"""Of a cell: its two inputs, the primitives on its edges, and its output."""


class Darts:
    """Canonical genotypes, and the number that stands for their accuracy.

    Args:
        worth: maps an architecture to that number; it is asked once for each.
        reached: the numbers of a uniform sample [N], which stands for the space where random search is counted.
    """

    name = "darts"
    everything: Sequence[Genotype] | None = None
    choices: Sequence[int] = tuple(len(factor.choices) for factor in DARTS.factors("separate"))

    def __init__(self, worth: Callable[[Genotype], float], reached: FloatArray) -> None:
        self.reached = reached
        self._worth = worth
        self._known: dict[Genotype, float] = {}

    def draw(self, count: int, rng: np.random.Generator) -> list[Genotype]:
        """See `Problem.draw`."""
        return [darts.draw(rng).canonical() for _ in range(count)]

    def neighbours(self, architecture: Genotype) -> list[Genotype]:
        """Those that differ in one primitive or one input."""
        return darts.neighbours(architecture)

    def of_choices(self, chosen: Sequence[int]) -> Genotype:
        """The architecture with these inputs and primitives."""
        decoded: Genotype = DARTS.decode([int(choice) for choice in chosen], "separate")
        return decoded.canonical()

    def accuracy(self, architecture: Genotype) -> float:
        """The score, in the unit of the score."""
        if architecture not in self._known:
            self._known[architecture] = self._worth(architecture)
        return self._known[architecture]

    def graphs(self, architectures: Sequence[Genotype]) -> Graphs:
        """Two cells of 11 vertices that no edge joins; a kind in the normal cell is another than in the reduction."""
        adjacency = np.zeros((len(architectures), len(CELLS) * VERTICES, len(CELLS) * VERTICES), np.float32)
        features = np.zeros((len(architectures), len(CELLS) * VERTICES, len(CELLS) * len(KINDS)), np.float32)
        for row, cells in enumerate(architectures):
            for place, cell in enumerate(cells):
                here = slice(place * VERTICES, (place + 1) * VERTICES)
                kinds = features[row, here, place * len(KINDS) : (place + 1) * len(KINDS)]
                _fill(adjacency[row, here, here], kinds, cell)
        return Graphs(adjacency, features)


def _fill(adjacency: NDArray[np.float32], kinds: NDArray[np.float32], cell: Cell) -> None:
    """An edge's primitive reads a cell's input, or both primitives of the node that the edge comes from."""
    kinds[range(INPUTS), [KINDS.index("input 0"), KINDS.index("input 1")]] = 1
    kinds[-1, KINDS.index("output")] = 1
    for place, edge in enumerate(edge for node in cell for edge in node):
        vertex = INPUTS + place
        kinds[vertex, KINDS.index(edge.primitive)] = 1
        adjacency[_sources(edge.input), vertex] = 1
        adjacency[vertex, -1] = 1


def _sources(source: int) -> list[int]:
    first = INPUTS + (source - INPUTS) * SLOTS
    return [source] if source < INPUTS else list(range(first, first + SLOTS))
