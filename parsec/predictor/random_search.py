"""Random search until the first good architecture, exact: nothing is simulated.

In a space that is known whole (N architectures, of which M are good) it draws without replacement. In one that is too
large to be known it draws from a share p of good ones, of which a uniform sample tells M of N. T is the number that is
trained until the first good one.
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


def shares(size: int, good: int, draws: int, seed: int) -> Reals:
    """[draws]: the share p of a space that is at least as good as number M of a uniform sample of N.

    Whatever the distribution of the accuracies, p ~ Beta(M, N − M + 1), as long as no two of them are equal.
    """
    return np.random.default_rng((seed, size, good)).beta(good, size - good + 1, size=draws)


def needed_of_share(share: Reals) -> Reals:
    """E[T] = 1 / p."""
    return 1.0 / share


def needed_within_of_share(share: Reals, budget: int) -> Reals:
    """E[min(T, B)] = (1 − (1 − p)^B) / p."""
    trained: Reals = -np.expm1(budget * np.log1p(-share)) / share
    return trained


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
