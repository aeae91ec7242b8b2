"""Random search without replacement in a space that is known whole: exact, nothing is drawn.

N architectures, of which M are good; T is the number that is trained until the first good one.
"""

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def needed(size: int, good: int) -> float:
    """E[T] = (N + 1) / (M + 1)."""
    return (size + 1) / (good + 1)


def missed(size: int, good: int, budget: int) -> Reals:
    """P(T > t) for t = 0 … `budget`: all t come from the N − M others."""
    trained = np.arange(budget)
    return np.concatenate([[1.0], np.cumprod(np.clip((size - good - trained) / (size - trained), 0.0, None))])


def needed_within(size: int, good: int, budget: int) -> float:
    """E[min(T, B)]: the sum of P(T > t) over t < B."""
    return float(missed(size, good, budget)[:-1].sum())


def chosen(size: int, trained: int) -> Reals:
    """[N]: the probability that the best of `trained` architectures is the one of rank 1, 2, … in the whole space."""
    ranks = np.arange(1, size)
    later = np.clip((size - ranks - trained + 1) / (size - ranks), 0.0, None)
    probabilities: Reals = trained / size * np.concatenate([[1.0], np.cumprod(later)])
    return probabilities


def best_so_far(accuracies: Reals, trained: int, share: float) -> float:
    """The quantile of the best of `trained` architectures that a `share` of random searches stays at or below."""
    at_least = np.cumsum(chosen(len(accuracies), trained))
    rank = int(np.searchsorted(at_least, 1 - share, side="right"))
    return float(-np.sort(-accuracies)[min(rank, len(accuracies) - 1)])
