"""How well scores order architectures: Kendall's τ with the accuracy that training reached."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau, spearmanr

Reals = NDArray[np.float64]

RESAMPLES = 1000
UNTRAINED = 15.0
"""Accuracy in percent up to which NASWOT's figure leaves an architecture of CIFAR-10 out; chance is 10."""


class Correlation(NamedTuple):
    """Rank correlations of n scored architectures, and the 95 % bootstrap interval of τ over architectures."""

    n: int
    failed: int
    """Architectures without a score; they are in neither correlation."""
    tau: float
    low: float
    high: float
    rho: float
    """Spearman's."""


def correlation(rows: pd.DataFrame, accuracies: Reals, above: float = 0.0, seed: int = 0) -> Correlation:
    """Correlate the rows of a `scores.parquet` with accuracies.

    Args:
        rows: as `read_scores` gives them.
        accuracies: percent, by the index of the benchmark.
        above: architectures up to this accuracy are left out.
        seed: of the bootstrap.

    Raises:
        ValueError: fewer than two architectures are left.
    """
    rows = rows[accuracies[rows["index"]] > above]
    scored = rows[rows["status"] == "scored"]
    if len(scored) < 2:
        raise ValueError(f"{len(scored)} scored architectures are too few for a correlation")
    scores, reached = scored["score"].to_numpy(), accuracies[scored["index"]]
    low, high = _interval(lambda drawn: kendalltau(scores[drawn], reached[drawn]).statistic, len(scored), seed)
    tau, rho = kendalltau(scores, reached).statistic, spearmanr(scores, reached).statistic
    return Correlation(len(scored), len(rows) - len(scored), float(tau), low, high, float(rho))


def _interval(statistic: Callable[[NDArray[np.int64]], float], count: int, seed: int) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of a statistic over draws with replacement."""
    draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    # Of a few architectures a draw may be one of them over and over, which has no order.
    low, high = np.nanquantile([statistic(drawn) for drawn in draws], (0.025, 0.975))
    return float(low), float(high)
