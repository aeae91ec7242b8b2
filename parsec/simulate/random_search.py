"""Random search: every architecture is drawn from the uniform distribution."""

import numpy as np

from parsec.benchmarks.problem import A, Problem
from parsec.simulate.protocol import Search


def random_search(problem: Problem[A], rng: np.random.Generator) -> Search[A]:
    """Draws without end, with replacement."""
    while True:
        yield problem.draw(1, rng)[0]
