"""What a simulated search is given: architectures, their neighbours and graphs, and the accuracy that it may see."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

A = TypeVar("A")
"""An architecture: hashable, and for a table its row."""


class Graphs(NamedTuple):
    """Architectures as graphs for a predictor: n architectures, V vertices padded with empty ones, F features."""

    adjacency: NDArray[np.float32]
    """[n, V, V]: 1 where an edge leads from the first vertex to the second."""
    features: NDArray[np.float32]
    """[n, V, F]: the operation of a vertex, one-hot; all zero where there is no vertex."""


class Problem(Protocol[A]):
    """A search space and the one accuracy per architecture that a search may ask for; no test accuracy is in it."""

    name: str
    everything: Sequence[A] | None
    """All architectures, if they can be listed."""

    def draw(self, count: int, rng: np.random.Generator) -> list[A]:
        """So many architectures from the uniform distribution, with replacement."""

    def neighbours(self, found: A) -> Sequence[A]:
        """The architectures one edit away."""

    def accuracy(self, found: A) -> float:
        """Validation accuracy in percent (or what stands in its place), the outcome of one training."""

    def graphs(self, found: Sequence[A]) -> Graphs:
        """The architectures as graphs."""


@runtime_checkable
class FactoredProblem(Problem[A], Protocol[A]):
    """A problem whose architectures are tuples of independent choices."""

    choices: Sequence[int]
    """Number of choices of every factor."""

    def of_choices(self, chosen: Sequence[int]) -> A:
        """The architecture with these choices, one a factor."""
