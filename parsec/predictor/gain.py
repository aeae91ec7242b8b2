"""The sample efficiency gain: how many times fewer architectures than random search a search trains for a quality.

Mauch et al. (arXiv 2011.12043) define such a gain; their formula could not be read. Here it is
G(q) = E[number random search needs to reach q] / E[number the search needs to reach q], which has no unit.
A search that does not reach q within its budget B needed more than B, and nobody knows how many: then
E[min(T, B)] still bounds the gain from above, and compares the two within the budget exactly.
"""

from collections.abc import Callable
from typing import NamedTuple

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
    """A number with the ends of its 95 % bootstrap interval over repeats."""

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


def gain(times: Reals, quality: Quality, size: int, budget: int, seed: int = 0) -> Gain:
    """The gain of a search over random search.

    Args:
        times: as `needed` gives them [R].
        quality: what was looked for.
        size: N, architectures of the space.
        budget: B, trained architectures of a repeat.
        seed: of the bootstrap.
    """
    within, reached = np.minimum(times, budget), np.isfinite(times)
    random, limited = (
        random_search.needed(size, quality.good),
        random_search.needed_within(size, quality.good, budget),
    )
    middle = float(np.median(times)) if np.isfinite(np.median(times)) else None
    return Gain(
        interval(reached.astype(float), seed=seed),
        middle,
        interval(within, lambda mean: random / mean, seed),
        not reached.all(),
        interval(within, lambda mean: limited / mean, seed),
    )


def interval(values: Reals, of: Callable[[Reals], Reals] = lambda mean: mean, seed: int = 0) -> Interval:
    """A function of the mean of values [R], with its percentiles 2.5 and 97.5 over draws of repeats."""
    draws = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.quantile(of(values[draws].mean(1)), (0.025, 0.975))
    return Interval(float(of(values.mean(keepdims=True))[0]), float(low), float(high))
