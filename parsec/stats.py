"""Summaries of repeated runs: how many, their mean, their spread, and how well the mean is known."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtr, stdtrit


class Summary(NamedTuple):
    """Of n values: mean, sample standard deviation (n − 1), and the ends of the 95 % interval of the mean.

    The interval is Student's t. One value alone has neither deviation nor interval: None.
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

    Mean, deviation and n are those of all values; the interval is Student's t over the means of the clusters, so that
    what a cluster shares counts once. One cluster cannot tell how clusters differ: its interval is None.
    """
    values = summarise([value for cluster in clusters for value in cluster])
    means = summarise([statistics.fmean(cluster) for cluster in clusters])
    if means.low is None or means.high is None:
        return values._replace(low=None, high=None)
    half = (means.high - means.low) / 2
    return values._replace(low=values.mean - half, high=values.mean + half)


class Estimate(NamedTuple):
    """A mean with its standard error and the degrees of freedom of that."""

    mean: float
    error: float
    freedom: float

    @classmethod
    def from_interval(cls, low: float, high: float, n: int) -> "Estimate":
        """The estimate behind a 95 % t-interval of n independent values (or of n clusters)."""
        return cls((low + high) / 2, (high - low) / 2 / float(stdtrit(n - 1, 0.975)), n - 1)


def difference_interval(first: Estimate, second: Estimate) -> tuple[float, float]:
    """Ends of the 95 % interval of the difference of two independent means (Welch's t)."""
    squares = [estimate.error**2 for estimate in (first, second)]
    if sum(squares) == 0.0:
        return first.mean - second.mean, first.mean - second.mean
    parts = sum(square**2 / estimate.freedom for square, estimate in zip(squares, (first, second), strict=True))
    half = float(stdtrit(sum(squares) ** 2 / parts, 0.975)) * math.sqrt(sum(squares))
    return first.mean - second.mean - half, first.mean - second.mean + half


class Paired(NamedTuple):
    """Of n pairs: the mean difference, the ends of its 95 % interval, and the p of no difference.

    Both are Student's t of the differences, two-sided. One pair alone has neither, and differences that are all the
    same have no p, because nothing tells their spread: None.
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
    found = summarise([value - other for value, other in zip(values, others, strict=True)])
    if found.std is None:
        return Paired(found.n, found.mean, None, None, None)
    if found.std == 0.0:
        return Paired(found.n, found.mean, found.low, found.high, None)
    t = abs(found.mean) / (found.std / math.sqrt(found.n))
    return Paired(found.n, found.mean, found.low, found.high, 2.0 * float(stdtr(found.n - 1, -t)))


def holm(probabilities: Sequence[float]) -> list[float]:
    """The p of several tests, adjusted for their number (Holm, 1979), in the same order."""
    adjusted, largest = [0.0] * len(probabilities), 0.0
    for place, index in enumerate(sorted(range(len(probabilities)), key=probabilities.__getitem__)):
        largest = max(largest, min(1.0, (len(probabilities) - place) * probabilities[index]))
        adjusted[index] = largest
    return adjusted


def difference_text(mean: float, low: float | None = None, high: float | None = None) -> str:
    """A difference with its sign, and its interval if there is one: `+1.57 [−1.04, +4.19]`."""
    interval = "" if low is None or high is None else f" [{low:+.2f}, {high:+.2f}]"
    return f"{mean:+.2f}{interval}".replace("-", "−")
