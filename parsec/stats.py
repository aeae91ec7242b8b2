"""Statistics of repeated runs: t-intervals, paired differences, Holm's adjustment, bootstrap percentiles.

Quantiles and tail probabilities of Student's t are from `scipy.special`. `scipy.stats.t.interval` and `ttest_rel` round
differently (one interval in five, one p in two) and `scipy.stats.bootstrap` draws other resamples, while the numbers of
tables must stay as they are; the tests compare with all three.
"""

import math
import statistics
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtr, stdtrit


class Summary(NamedTuple):
    """Mean of n values, their sample standard deviation (n − 1), and the ends of the mean's 95 % t-interval.

    A single value has neither deviation nor interval: None.
    """

    n: int
    mean: float
    std: float | None
    low: float | None
    high: float | None


def summarise(values: Sequence[float]) -> Summary:
    """Summary of the values, in their unit.

    Raises:
        ValueError: no value, or one that is not finite.
    """
    if not values or not all(math.isfinite(value) for value in values):
        raise ValueError(f"a summary needs finite values, got {list(values)}")
    n, mean = len(values), statistics.fmean(values)
    if n == 1:
        return Summary(1, mean, None, None, None)
    std = statistics.stdev(values)
    return Summary(n, mean, std, *interval_of_mean(n, mean, std))


def interval_of_mean(n: int, mean: float, std: float) -> tuple[float, float]:
    """Ends of the 95 % t-interval of the mean of n independent values with this sample standard deviation."""
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n)
    return mean - half, mean + half


def summarise_clusters(clusters: Sequence[Sequence[float]]) -> Summary:
    """Summary of values that share something within a cluster, such as the weights of a network.

    Mean, deviation and n are those of all values; the t-interval is over the means of the clusters, so that what a
    cluster shares counts once. A single cluster has no interval: None.
    """
    values = summarise([value for cluster in clusters for value in cluster])
    means = summarise([statistics.fmean(cluster) for cluster in clusters])
    if means.low is None or means.high is None:
        return values._replace(low=None, high=None)
    half = (means.high - means.low) / 2
    return values._replace(low=values.mean - half, high=values.mean + half)


class Estimate(NamedTuple):
    """A mean, its standard error, and the degrees of freedom of the error."""

    mean: float
    error: float
    dof: float

    @classmethod
    def from_interval(cls, low: float, high: float, n: int) -> "Estimate":
        """The estimate behind a 95 % t-interval of n independent values (or of n clusters)."""
        return cls((low + high) / 2, (high - low) / 2 / float(stdtrit(n - 1, 0.975)), n - 1)


def difference_interval(first: Estimate, second: Estimate) -> tuple[float, float]:
    """Ends of the 95 % interval of the difference of two independent means (Welch's t)."""
    # Welch–Satterthwaite: degrees of freedom from the two squared errors.
    squares = [estimate.error**2 for estimate in (first, second)]
    if sum(squares) == 0.0:
        return first.mean - second.mean, first.mean - second.mean
    parts = sum(square**2 / estimate.dof for square, estimate in zip(squares, (first, second), strict=True))
    half = float(stdtrit(sum(squares) ** 2 / parts, 0.975)) * math.sqrt(sum(squares))
    return first.mean - second.mean - half, first.mean - second.mean + half


class Paired(NamedTuple):
    """Mean difference of n pairs, the ends of its 95 % t-interval, and the two-sided p of no difference.

    A single pair has neither, and differences that are all equal have no p, because their spread is unknown: None.
    """

    n: int
    mean: float
    low: float | None
    high: float | None
    p: float | None


def paired(values: Sequence[float], others: Sequence[float]) -> Paired:
    """Differences `values` − `others`, pair by pair, in their unit.

    Raises:
        ValueError: different numbers of values, none, or one that is not finite.
    """
    differences = summarise([value - other for value, other in zip(values, others, strict=True)])
    if not differences.std:
        return Paired(differences.n, differences.mean, differences.low, differences.high, None)
    t = abs(differences.mean) / (differences.std / math.sqrt(differences.n))
    p = 2.0 * float(stdtr(differences.n - 1, -t))
    return Paired(differences.n, differences.mean, differences.low, differences.high, p)


def holm(probabilities: Sequence[float]) -> list[float]:
    """The p of several tests, adjusted for their number (Holm, 1979), in the same order."""
    adjusted, largest = [0.0] * len(probabilities), 0.0
    for rank, index in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        # The smallest p times the number of tests, the next times one less, and never below the one before.
        largest = max(largest, min(1.0, (len(probabilities) - rank) * probabilities[index]))
        adjusted[index] = largest
    return adjusted


def bootstrap_ends(
    statistic: Callable[[NDArray[np.int64]], ArrayLike], n: int, resamples: int, seed: int = 0
) -> NDArray[np.float64]:
    """Percentiles 2.5 and 97.5 of a statistic over resamples of n items: [2], or [2, M] for M statistics at once.

    Equal n, resamples and seed give the same resamples, so that several statistics can be compared.

    Args:
        statistic: from the indices of all resamples [resamples, n] to its values [resamples] or [resamples, M]; values
            that are NaN, because a resample has no such statistic, are left out.
        n: items to resample, with replacement.
        resamples: their number.
        seed: of the resamples.
    """
    indices = np.random.default_rng(seed).integers(n, size=(resamples, n))
    ends: NDArray[np.float64] = np.nanquantile(np.asarray(statistic(indices), np.float64), (0.025, 0.975), axis=0)
    return ends


def difference_text(mean: float, low: float | None = None, high: float | None = None) -> str:
    """A difference with its sign, and its interval if there is one: `+1.57 [−1.04, +4.19]`."""
    interval = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
    return f"{mean:+.2f}{interval}".replace("-", "−")
