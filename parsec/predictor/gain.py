"""The sample efficiency gain: how many times fewer architectures than random search a search trains for a quality.

Mauch et al. (arXiv 2011.12043) define such a gain; their formula could not be read. Here it is
G(q) = E[number random search needs to reach q] / E[number the search needs to reach q], which has no unit.
A search that does not reach q within its budget B needed more than B, and nobody knows how many: then
E[min(T, B)] still bounds the gain from above, and compares the two within the budget exactly.

What random search needs is exact in a space that is known whole. Where a uniform sample stands for the space, the share
of it that has the quality is uncertain, and every interval that compares with random search carries that uncertainty.
All pools share it: it is one factor of all their gains, and ratios between pools are free of it.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.predictor import random_search

Reals = NDArray[np.float64]

RESAMPLES = 4000
SHARES = {"top 1 %": 0.01, "top 0.1 %": 0.001}
COUNTS = {"best 10": 10, "best": 1}


class Quality(NamedTuple):
    """What a search has to find: an accuracy, and how many of the space have it."""

    name: str
    accuracy: float
    """Percent, of validation."""
    good: int
    """M; more than the name says where accuracies are equal."""


class Interval(NamedTuple):
    """A number with the ends of its 95 % bootstrap interval over repeats, and over shares where they are uncertain."""

    value: float
    low: float
    high: float


class Gain(NamedTuple):
    """How a search with one pool does for one quality."""

    reached: Interval
    """Share of the repeats that reach the quality within the budget."""
    median: float | None
    """Number of trained architectures needed by the middle repeat; None if that did not reach the quality."""
    gain: Interval
    """An upper bound where `bounded`: the true gain is at most this."""
    bounded: bool
    """Whether a repeat missed the quality, so that the number it needs is unknown."""
    within: Interval
    """E[min(T, B)] of random search by that of the search: the gain of who stops at the budget anyway."""


def qualities(accuracies: Reals) -> list[Quality]:
    """The qualities that a gain is reported for, of a space with these accuracies [N]."""
    counts = {name: max(1, round(share * len(accuracies))) for name, share in SHARES.items()} | COUNTS
    ordered = -np.sort(-accuracies)
    limits = {name: float(ordered[count - 1]) for name, count in counts.items()}
    return [Quality(name, limit, int((accuracies >= limit).sum())) for name, limit in limits.items()]


def needed(trained: Reals, quality: Quality) -> Reals:
    """[R]: number of trained architectures until the quality; infinite where it is not among them.

    Args:
        trained: accuracies in the order of training [R, B].
        quality: what is looked for.
    """
    good = trained >= quality.accuracy
    return np.where(good.any(1), good.argmax(1) + 1.0, np.inf)


class Expected(NamedTuple):
    """An expectation for random search: its value, and draws of it [RESAMPLES], all equal where it is exact."""

    value: float
    draws: Reals


class RandomSearch(NamedTuple):
    """What random search is expected to train until a quality."""

    needed: Expected
    """E[T]."""
    within: Expected
    """E[min(T, B)]."""


def random_expected(quality: Quality, size: int, budget: int, sampled: bool = False, seed: int = 0) -> RandomSearch:
    """Expectations of random search in a space of this size, or of which that many were drawn if `sampled`.

    The value is that of the mean share M / (N + 1) if `sampled`.
    """
    if not sampled:
        exact = random_search.needed(size, quality.good), random_search.needed_within(size, quality.good, budget)
        return RandomSearch(*(Expected(value, np.full(RESAMPLES, value)) for value in exact))
    mean, draws = np.array([quality.good / (size + 1)]), random_search.shares(size, quality.good, RESAMPLES, seed)
    needed_, within = random_search.needed_of_share, random_search.needed_within_of_share
    return RandomSearch(
        Expected(float(needed_(mean)[0]), needed_(draws)),
        Expected(float(within(mean, budget)[0]), within(draws, budget)),
    )


def gain(times: Reals, quality: Quality, size: int, budget: int, sampled: bool = False, seed: int = 0) -> Gain:
    """The gain of a search over random search.

    Args:
        times: as `needed` gives them [R].
        quality: what was looked for.
        size: N, architectures of the space, or of the sample of it.
        budget: B, trained architectures of a repeat.
        sampled: whether a uniform sample stands for the space.
        seed: of the bootstrap.
    """
    within, reached = np.minimum(times, budget), np.isfinite(times)
    random = random_expected(quality, size, budget, sampled, seed)
    middle = float(np.median(times)) if np.isfinite(np.median(times)) else None
    return Gain(
        interval(reached.astype(float), seed=seed),
        middle,
        _against(within, random.needed, operator.truediv, seed),
        not reached.all(),
        _against(within, random.within, operator.truediv, seed),
    )


def saved(times: Reals, quality: Quality, size: int, budget: int, sampled: bool = False, seed: int = 0) -> Interval:
    """Trainings that a search saves over random search, both capped at the budget; arguments as of `gain`."""
    random = random_expected(quality, size, budget, sampled, seed)
    return _against(np.minimum(times, budget), random.within, operator.sub, seed)


def interval(values: Reals, seed: int = 0) -> Interval:
    """The mean of values [R], with its percentiles 2.5 and 97.5 over draws of repeats."""
    return _against(values, Expected(0.0, np.zeros(RESAMPLES)), lambda _, mean: mean, seed)


def _against(values: Reals, random: Expected, compare: Callable[[Any, Any], Any], seed: int) -> Interval:
    """An expectation of random search, compared with the mean of values [R]: `compare(random, mean)`."""
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(compare(random.draws, values[draws].mean(1)), (0.025, 0.975))
    return Interval(float(compare(random.value, values.mean())), float(low), float(high))
