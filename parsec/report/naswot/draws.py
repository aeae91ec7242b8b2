"""NASWOT's search replayed on scores: the highest of N drawn architectures (ICML 2021, algorithm 1)."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.report.naswot.inputs import Scored

Indices = NDArray[np.int64]
REPEATS = 500
"""As published."""
COUNTS = (10, 100, 1000)
"""N, as published."""


class Drawn(NamedTuple):
    """What 500 repeats of drawing N scored architectures with replacement gave; indices of the benchmark.

    Repeats take turns among the draws of weights: those of one draw stand together.
    """

    candidates: int
    """N."""
    chosen: Indices
    """[500]: of the highest score; a failed one only where all N failed."""
    sample: Indices
    """[500, N]: all that were drawn."""
    weights: Indices
    """[500]: which draw of weights was scored, counted from 0."""
    seconds: float
    """Mean time of scoring N architectures."""


def replay(draws: Sequence[Scored]) -> Iterator[Drawn]:
    """Replays for every N up to the number of scored architectures, on the draws of one scoring.

    The seeds of the scores determine what is drawn.
    """
    each = float(np.mean([one.rows["seconds"].mean() for one in draws]))
    weights = np.sort(np.arange(REPEATS) % len(draws))
    for count in (count for count in COUNTS if count <= min(len(one.rows) for one in draws)):
        found = [_repeats(one, count, int((weights == place).sum())) for place, one in enumerate(draws)]
        chosen, sample = (np.concatenate(parts) for parts in zip(*found, strict=True))
        yield Drawn(count, chosen, sample, weights, count * each)


def _repeats(scored: Scored, count: int, repeats: int) -> tuple[Indices, Indices]:
    """What repeats on one draw of weights choose, and their samples [repeats, N]."""
    known, scores = scored.rows["index"].to_numpy(), scored.by_index()
    sample = known[np.random.default_rng((scored.seed, count)).integers(len(known), size=(repeats, count))]
    return sample[np.arange(repeats), scores[sample].argmax(axis=1)], sample
