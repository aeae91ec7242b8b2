"""Regularised evolution (Real, Aggarwal, Huang and Le, AAAI 2019, algorithm 1; arXiv 1802.01548)."""

from collections import deque
from collections.abc import Sequence

import numpy as np

from parsec.benchmarks.problem import A, Problem
from parsec.settings.simulate import Evolution
from parsec.simulate.protocol import Search


def evolution(
    problem: Problem[A], settings: Evolution, rng: np.random.Generator, first: Sequence[A] | None = None
) -> Search[A]:
    """Trains the first population, drawn at random if None, then a mutation of the best of a sample, without end.

    The sample is drawn with replacement and a child takes the place of the oldest. A mutation is a uniformly drawn
    neighbour; an architecture without neighbours is trained again.
    """
    living: deque[tuple[A, float]] = deque(maxlen=settings.population)
    for found in problem.draw(settings.population, rng) if first is None else first:
        living.append((found, (yield found)))
    while True:
        sample = [living[place] for place in rng.integers(len(living), size=settings.sample)]
        parent, _ = max(sample, key=lambda pair: pair[1])
        near = problem.neighbours(parent) or [parent]
        child = near[int(rng.integers(len(near)))]
        living.append((child, (yield child)))
