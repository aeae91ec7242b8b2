"""NASWOT's search replayed on scores: the highest of N drawn architectures (ICML 2021, algorithm 1)."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.report.naswot.inputs import Scored
from parsec.runtime.seeds import seed_of

Indices = NDArray[np.int64]
REPEATS = 500
"""As published."""
COUNTS = (10, 100, 1000)
"""N, as published."""


class Drawn(NamedTuple):
    """What 500 repeats of drawing N scored architectures with replacement gave; indices of the benchmark."""

    candidates: int
    """N."""
    chosen: Indices
    """[500]: of the highest score; a failed one only where all N failed."""
    sample: Indices
    """[500, N]: all that were drawn."""
    seconds: float
    """Mean time of scoring N architectures."""


def replay(scored: Scored) -> Iterator[Drawn]:
    """Replays for every N up to the number of scored architectures; the seed of the scores determines all draws."""
    known, scores = scored.rows["index"].to_numpy(), scored.by_index()
    each = float(scored.rows["seconds"].mean())
    for count in (count for count in COUNTS if count <= len(known)):
        rng = np.random.default_rng(seed_of(scored.seed, "naswot", count))
        sample = known[rng.integers(len(known), size=(REPEATS, count))]
        best = scores[sample].argmax(axis=1)
        yield Drawn(count, sample[np.arange(REPEATS), best], sample, count * each)
