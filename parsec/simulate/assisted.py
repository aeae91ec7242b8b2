"""AREA: regularised evolution whose first population training-free scores choose (NASWOT, ICML 2021, algorithm 2)."""

from collections.abc import Mapping

import numpy as np

from parsec.benchmarks.problem import A, Problem
from parsec.settings.simulate import AssistedEvolution
from parsec.simulate.evolution import evolution
from parsec.simulate.protocol import Search


def assisted_evolution(
    problem: Problem[A], settings: AssistedEvolution, scores: Mapping[A, float], rng: np.random.Generator
) -> Search[A]:
    """Evolution that begins with the highest scores among so many scored architectures, drawn with replacement.

    A score of −∞ stands for a failed one, which is chosen last.
    """
    known = list(scores)
    drawn = [known[place] for place in rng.integers(len(known), size=settings.candidates)]
    best = sorted(drawn, key=lambda found: scores[found], reverse=True)[: settings.population]
    return evolution(problem, settings, rng, best)
