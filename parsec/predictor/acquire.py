"""Which of the scored architectures are taken: what an ensemble's predictions are worth."""

import numpy as np
from numpy.typing import NDArray

from parsec.settings.predictor import Acquisition

Predictions = NDArray[np.float32]
"""[E, p]: what E members predict for p architectures."""


def pick(predicted: Predictions, count: int, rule: Acquisition, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the `count` best of p architectures, all of them where p is less; equal ones in their order.

    `thompson` takes for every choice the best that is left by a member drawn at random, which stands for a draw from
    the posterior; the other rules rank once.
    """
    if rule == "thompson":
        return _one_by_one(predicted, min(count, predicted.shape[1]), rng)
    value = predicted.mean(0) + (predicted.std(0) if rule == "upper_bound" else 0.0)
    return np.argsort(-value, kind="stable")[:count]


def _one_by_one(predicted: Predictions, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    left, taken = predicted.copy(), np.empty(count, np.int64)
    for place, member in enumerate(rng.integers(len(predicted), size=count)):
        taken[place] = left[member].argmax()
        left[:, taken[place]] = -np.inf
    return taken
