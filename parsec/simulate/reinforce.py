"""Policy gradient over a product of categoricals, NAS-Bench-201's baseline (Dong and Yang, ICLR 2020)."""

import numpy as np
from numpy.typing import NDArray

from parsec.benchmarks.problem import A, FactoredProblem
from parsec.settings.simulate import Reinforce
from parsec.simulate.protocol import Search

Reals = NDArray[np.float64]
DECAY = (0.9, 0.999)
EPSILON = 1e-8
"""Adam's defaults (Kingma and Ba, ICLR 2015)."""


class _Adam:
    """Ascent along gradients [factors, choices] from zero; in numpy, because a step is a few numbers."""

    def __init__(self, shape: tuple[int, int], rate: float) -> None:
        self.values = np.zeros(shape)
        self._rate, self._steps = rate, 0
        self._moments = [np.zeros(shape), np.zeros(shape)]

    def ascend(self, gradient: Reals) -> None:
        self._steps += 1
        for moment, decay, term in zip(self._moments, DECAY, (gradient, gradient**2), strict=True):
            moment += (1 - decay) * (term - moment)
        mean, square = (m / (1 - d**self._steps) for m, d in zip(self._moments, DECAY, strict=True))
        self.values += self._rate * mean / (np.sqrt(square) + EPSILON)


def reinforce(problem: FactoredProblem[A], settings: Reinforce, rng: np.random.Generator) -> Search[A]:
    """Samples from the policy, whose logits [factors, choices] follow (accuracy − baseline) ∇ log p without end.

    The policy is uniform at first. The baseline is the moving average of all accuracies so far, the newest included,
    corrected for its beginning, as in the authors' code; all factors have equally many choices.
    """
    factors, choices = len(problem.choices), problem.choices[0]
    logits, total, weight = _Adam((factors, choices), settings.rate), 0.0, 0.0
    while True:
        policy = np.exp(logits.values - logits.values.max(axis=1, keepdims=True))
        policy /= policy.sum(axis=1, keepdims=True)
        chosen = (policy.cumsum(axis=1) < rng.random((factors, 1))).sum(axis=1).clip(max=choices - 1)
        accuracy = yield problem.of_choices([int(choice) for choice in chosen])
        total = settings.momentum * total + (1 - settings.momentum) * accuracy
        weight = settings.momentum * weight + (1 - settings.momentum)
        logits.ascend((accuracy - total / weight) * (np.eye(choices)[chosen] - policy))
