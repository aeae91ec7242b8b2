"""NASWOT's search, repeated on scores that are there already: of N random architectures the one that scores highest."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.records.statistics import Summary, summarise

Reals = NDArray[np.float64]
REPEATS = 500
"""As in the paper's tables."""


class BestOfN(NamedTuple):
    """Accuracies in percent over repeated searches."""

    chosen: Summary
    """Of the architectures with the highest score."""
    optimum: Summary
    """Of the best among the N that were drawn: what a perfect score would choose."""
    seconds: float
    """Mean time to score N architectures."""


def best_of_n(rows: pd.DataFrame, accuracies: Reals, n: int, seed: int = 0, repeats: int = REPEATS) -> BestOfN:
    """Search `repeats` times among the rows of a `scores.parquet` (NASWOT, algorithm 1).

    Architectures are drawn with replacement, as by the authors, and one without a score is never chosen while another
    of the draw has one.

    Args:
        rows: as `read_scores` gives them, at least `n`, so that repeats differ.
        accuracies: percent, by the index of the benchmark.
        n: architectures of one search.
        seed: of the draws.
        repeats: searches.

    Raises:
        ValueError: fewer rows than `n`.
    """
    if len(rows) < n:
        raise ValueError(f"a search among {n} architectures needs as many scores, and there are {len(rows)}")
    reached = accuracies[rows["index"]]
    scores = np.where(rows["status"] == "scored", rows["score"].astype(float), -np.inf)
    drawn = np.random.default_rng(seed).integers(len(rows), size=(repeats, n))
    best = np.take_along_axis(drawn, scores[drawn].argmax(1)[:, None], axis=1)[:, 0]
    chosen, optimum = (summarise(values.tolist()) for values in (reached[best], reached[drawn].max(1)))
    return BestOfN(chosen, optimum, n * float(rows["seconds"].mean()))
