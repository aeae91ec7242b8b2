"""What a simulated search is, and what is kept of one."""

from collections.abc import Generator
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from parsec.benchmarks.problem import A, Problem

Search: TypeAlias = Generator[A, float, None]
"""Yields the architecture to train next and is sent the accuracy that it reached, in percent; it never ends."""


class Improvement(NamedTuple):
    """The best so far, from the training on that found it."""

    trained: int
    """Trained architectures, this one included."""
    architecture: int
    """As the problem numbers it."""
    accuracy: float
    """Percent, as the search saw it."""
    seconds: float | None
    """Of training so far, this one included; None where no times are known."""


class Budget(NamedTuple):
    """What a search may spend; an architecture trained twice costs twice."""

    trainings: int
    seconds: float | None
    """No training ends after so much time; None: as long as it takes."""
    costs: NDArray[np.float64] | None
    """Seconds of one training by number of the architecture; None: not known."""


def follow(search: Search[int], problem: Problem[int], budget: Budget) -> list[Improvement]:
    """Run a search until the budget is spent: every new best of it."""
    found, kept, best, spent = next(search), list[Improvement](), -np.inf, 0.0
    for trained in range(1, budget.trainings + 1):
        spent += 0.0 if budget.costs is None else float(budget.costs[found])
        if budget.seconds is not None and spent > budget.seconds:
            break
        accuracy = problem.accuracy(found)
        if accuracy > best:
            best = accuracy
            kept.append(Improvement(trained, found, accuracy, None if budget.costs is None else spent))
        found = search.send(accuracy)
    return kept
