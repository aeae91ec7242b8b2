"""Summaries of repeated runs: how many, their mean, their spread, and how well the mean is known."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.special import stdtrit


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
    half = float(stdtrit(n - 1, 0.975)) * std / math.sqrt(n)
    return Summary(n, mean, std, mean - half, mean + half)
