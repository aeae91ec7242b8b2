"""Random search until the first good architecture, exact: nothing is simulated.

In a space that is known whole (N architectures, of which M are good) it draws without replacement. In one that is too
large to be known it draws from a share p of good ones, of which a uniform sample tells M of N. T is the number that is
trained until the first good one.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from parsec.stats import bootstrap_ends
from parsec.tabular.problem import FloatArray


def missed(size: int, good: int, budget: int) -> FloatArray:
    """P(T > t) for t = 0 … `budget`: all t come from the N − M others."""
    # P(T > t) = ∏ over s < t of (N − M − s)/(N − s): draw s + 1 misses, given that all before it missed.
    trained = np.arange(budget)
    return np.concatenate([[1.0], np.cumprod(np.clip((size - good - trained) / (size - trained), 0.0, None))])


def needed_within(size: int, good: int, budget: int) -> float:
    """E[min(T, B)]: the sum of P(T > t) over t < B."""
    return float(missed(size, good, budget)[:-1].sum())


def shares(size: int, good: int, draws: int) -> FloatArray:
    """[draws]: the share p of a space that is at least as good as number M of a uniform sample of N.

    Whatever the distribution of the accuracies, p ~ Beta(M, N − M + 1), as long as no two of them are equal.
    """
    return np.random.default_rng((0, size, good)).beta(good, size - good + 1, size=draws)


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
    """[R]: number of trained architectures until the target, of accuracies in the order of training [R, B].

    Infinite where the target is not among them.
    """
    good = trained >= target.accuracy
    return np.where(good.any(1), good.argmax(1) + 1.0, np.inf)


class Expected(NamedTuple):
    """An expectation for random search: its value, and draws of it [RESAMPLES], all equal where it is exact."""

    value: float
    draws: FloatArray


def random_expected(target: Target, size: int, budget: int, sampled: bool = False) -> tuple[Expected, Expected]:
    """E[T] and E[min(T, B)] in a space of this size, or of which that many were drawn if `sampled`."""
    if not sampled:
        exact = (size + 1) / (target.good + 1), needed_within(size, target.good, budget)
        until, within = (Expected(value, np.full(RESAMPLES, value)) for value in exact)
        return until, within
    # The share p is uncertain: its mean gives the value, draws from its Beta distribution give the interval.
    mean, draws = np.array([target.good / (size + 1)]), shares(size, target.good, RESAMPLES)
    within_mean, within_draws = (needed_within_of_share(share, budget) for share in (mean, draws))
    return Expected(float(1.0 / mean[0]), 1.0 / draws), Expected(float(within_mean[0]), within_draws)


def gain(times: FloatArray, target: Target, size: int, budget: int, sampled: bool = False) -> Gain:
    """The gain of a search over random search.

    Args:
        times: as `needed` gives them [R].
        target: what was looked for.
        size: N, architectures of the space, or of the sample of it.
        budget: B, trained architectures of a repeat.
        sampled: whether a uniform sample stands for the space.
    """
    # Repeats that missed the target count as the budget, which bounds their number from below.
    capped, reached = np.minimum(times, budget), np.isfinite(times)
    until, within = random_expected(target, size, budget, sampled)
    middle = float(np.median(times))
    return Gain(
        interval(reached.astype(float)),
        middle if np.isfinite(middle) else None,
        _against(capped, until, operator.truediv),
        not reached.all(),
        _against(capped, within, operator.truediv),
    )


def saved(times: FloatArray, target: Target, size: int, budget: int, sampled: bool = False) -> Interval:
    """Trainings that a search saves over random search, both capped at the budget; arguments as of `gain`."""
    _, within = random_expected(target, size, budget, sampled)
    return _against(np.minimum(times, budget), within, operator.sub)


def interval(values: FloatArray) -> Interval:
    """The mean of values [R], with its percentiles 2.5 and 97.5 over draws of repeats."""
    return _against(values, Expected(0.0, np.zeros(RESAMPLES)), lambda _, mean: mean)


def _against(values: FloatArray, random: Expected, compare: Callable[[Any, Any], Any]) -> Interval:
    """An expectation of random search, compared with the mean of values [R]: `compare(random, mean)`."""
    low, high = bootstrap_ends(lambda indices: compare(random.draws, values[indices].mean(1)), len(values), RESAMPLES)
    return Interval(float(compare(random.value, values.mean())), float(low), float(high))
