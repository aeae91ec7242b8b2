"""Random search until the first good architecture, exact: nothing is simulated.

In a space that is known whole (N architectures, of which M are good) it draws without replacement. In one that is too
large to be known it draws from a share p of good ones, of which a uniform sample tells M of N. T is the number that is
trained until the first good one.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.stats import bootstrap_ends

FloatArray = NDArray[np.float64]


def trainings_needed(size: int, good: int) -> float:
    """E[T] = (N + 1) / (M + 1)."""
    return (size + 1) / (good + 1)


def missed(size: int, good: int, budget: int) -> FloatArray:
    """P(T > t) for t = 0 … `budget`: all t come from the N − M others."""
    # P(T > t) = ∏ over s < t of (N − M − s)/(N − s): draw s + 1 misses, given that all before it missed.
    trained = np.arange(budget)
    return np.concatenate([[1.0], np.cumprod(np.clip((size - good - trained) / (size - trained), 0.0, None))])


def needed_within(size: int, good: int, budget: int) -> float:
    """E[min(T, B)]: the sum of P(T > t) over t < B."""
    return float(missed(size, good, budget)[:-1].sum())


def shares(size: int, good: int, draws: int, seed: int) -> FloatArray:
    """[draws]: the share p of a space that is at least as good as number M of a uniform sample of N.

    Whatever the distribution of the accuracies, p ~ Beta(M, N − M + 1), as long as no two of them are equal.
    """
    return np.random.default_rng((seed, size, good)).beta(good, size - good + 1, size=draws)


def needed_of_share(share: FloatArray) -> FloatArray:
    """E[T] = 1 / p."""
    return 1.0 / share


def needed_within_of_share(share: FloatArray, budget: int) -> FloatArray:
    """E[min(T, B)] = (1 − (1 − p)^B) / p."""
    trained: FloatArray = -np.expm1(budget * np.log1p(-share)) / share
    return trained


def chosen(size: int, trained: int) -> FloatArray:
    """[N]: the probability that the best of `trained` architectures is the one of rank 1, 2, … in the whole space."""
    # P(rank r is the best drawn) = n/N · ∏ over s < r of (N − s − n + 1)/(N − s): all better ranks were missed.
    ranks = np.arange(1, size)
    later = np.clip((size - ranks - trained + 1) / (size - ranks), 0.0, None)
    probabilities: FloatArray = trained / size * np.concatenate([[1.0], np.cumprod(later)])
    return probabilities


def best_so_far(accuracies: FloatArray, trained: int, share: float) -> float:
    """The quantile of the best of `trained` architectures that a `share` of random searches stays at or below."""
    at_least = np.cumsum(chosen(len(accuracies), trained))
    rank = int(np.searchsorted(at_least, 1 - share, side="right"))
    return float(-np.sort(-accuracies)[min(rank, len(accuracies) - 1)])


RESAMPLES = 4000
SHARES = {"top 1 %": 0.01, "top 0.1 %": 0.001}
COUNTS = {"best 10": 10, "best": 1}


class Target(NamedTuple):
    """Target of a search: an accuracy, and the number of architectures that reach it."""

    name: str
    accuracy: float
    """Validation accuracy in percent."""
    good: int
    """M; more than the name says where accuracies are equal."""


class Interval(NamedTuple):
    """A number with the ends of its 95 % bootstrap interval over repeats, and over shares where they are uncertain."""

    value: float
    low: float
    high: float


class Gain(NamedTuple):
    """How a search with one pool does for one target."""

    reached: Interval
    """Share of the repeats that reach the target within the budget."""
    median: float | None
    """Number of trained architectures needed by the middle repeat; None if that did not reach the target."""
    gain: Interval
    """An upper bound where `bounded`: the true gain is at most this."""
    bounded: bool
    """Whether a repeat missed the target, so that the number it needs is unknown."""
    within: Interval
    """E[min(T, B)] of random search by that of the search: budget-truncated gain."""


def targets(accuracies: FloatArray) -> list[Target]:
    """The targets that a gain is reported for, of a space with these accuracies [N]."""
    counts = {name: max(1, round(share * len(accuracies))) for name, share in SHARES.items()} | COUNTS
    ordered = -np.sort(-accuracies)
    limits = {name: float(ordered[count - 1]) for name, count in counts.items()}
    return [Target(name, limit, int((accuracies >= limit).sum())) for name, limit in limits.items()]


def needed(trained: FloatArray, target: Target) -> FloatArray:
    """[R]: number of trained architectures until the target; infinite where it is not among them.

    Args:
        trained: accuracies in the order of training [R, B].
        target: what is looked for.
    """
    good = trained >= target.accuracy
    return np.where(good.any(1), good.argmax(1) + 1.0, np.inf)


class Expected(NamedTuple):
    """An expectation for random search: its value, and draws of it [RESAMPLES], all equal where it is exact."""

    value: float
    draws: FloatArray


class RandomSearch(NamedTuple):
    """Expected number of trainings of random search until a target."""

    needed: Expected
    """E[T]."""
    within: Expected
    """E[min(T, B)]."""


def random_expected(target: Target, size: int, budget: int, sampled: bool = False, seed: int = 0) -> RandomSearch:
    """Expectations of random search in a space of this size, or of which that many were drawn if `sampled`.

    The value is that of the mean share M / (N + 1) if `sampled`.
    """
    if not sampled:
        exact = trainings_needed(size, target.good), needed_within(size, target.good, budget)
        return RandomSearch(*(Expected(value, np.full(RESAMPLES, value)) for value in exact))
    # The share p is uncertain: its mean gives the value, draws from its Beta distribution give the interval.
    mean, draws = np.array([target.good / (size + 1)]), shares(size, target.good, RESAMPLES, seed)
    needed_, within = needed_of_share, needed_within_of_share
    return RandomSearch(
        Expected(float(needed_(mean)[0]), needed_(draws)),
        Expected(float(within(mean, budget)[0]), within(draws, budget)),
    )


def gain(times: FloatArray, target: Target, size: int, budget: int, sampled: bool = False, seed: int = 0) -> Gain:
    """The gain of a search over random search.

    Args:
        times: as `needed` gives them [R].
        target: what was looked for.
        size: N, architectures of the space, or of the sample of it.
        budget: B, trained architectures of a repeat.
        sampled: whether a uniform sample stands for the space.
        seed: of the bootstrap.
    """
    # Repeats that missed the target count as the budget, which bounds their number from below.
    within, reached = np.minimum(times, budget), np.isfinite(times)
    random = random_expected(target, size, budget, sampled, seed)
    middle = float(np.median(times)) if np.isfinite(np.median(times)) else None
    return Gain(
        interval(reached.astype(float), seed=seed),
        middle,
        _against(within, random.needed, operator.truediv, seed),
        not reached.all(),
        _against(within, random.within, operator.truediv, seed),
    )


def saved(times: FloatArray, target: Target, size: int, budget: int, sampled: bool = False, seed: int = 0) -> Interval:
    """Trainings that a search saves over random search, both capped at the budget; arguments as of `gain`."""
    random = random_expected(target, size, budget, sampled, seed)
    return _against(np.minimum(times, budget), random.within, operator.sub, seed)


def interval(values: FloatArray, seed: int = 0) -> Interval:
    """The mean of values [R], with its percentiles 2.5 and 97.5 over draws of repeats."""
    return _against(values, Expected(0.0, np.zeros(RESAMPLES)), lambda _, mean: mean, seed)


def _against(values: FloatArray, random: Expected, compare: Callable[[Any, Any], Any], seed: int) -> Interval:
    """An expectation of random search, compared with the mean of values [R]: `compare(random, mean)`."""
    low, high = bootstrap_ends(
        lambda indices: compare(random.draws, values[indices].mean(1)), len(values), RESAMPLES, seed
    )
    return Interval(float(compare(random.value, values.mean())), float(low), float(high))
