"""The search: random architectures first, then rounds of fitting, scoring and training the best of what was scored."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from parsec.benchmarks.problem import Problem
from parsec.predictor.acquire import Predictions, pick
from parsec.predictor.encode import Encoder
from parsec.predictor.fit import Fitted, fit
from parsec.predictor.pools import Score, Seen, filled, propose
from parsec.runtime.randomness import generator
from parsec.runtime.seeds import seed_of
from parsec.settings.predictor import AnyPredictorJob, Pool


class Searches:
    """Searches on one problem with one pool; those of several repeats run together, because it is faster.

    The first architectures of a repeat depend on seed and repeat alone, so that repeats are paired between pools.
    """

    def __init__(
        self, problem: Problem[Any], job: AnyPredictorJob, seed: int, prior: NDArray[np.float64] | None = None
    ) -> None:
        self._problem, self._job, self._seed, self._prior = problem, job, seed, prior
        self._encoder = Encoder(problem)

    def run(self, pool: Pool, repeats: Sequence[int]) -> list[dict[Any, float]]:
        """For each repeat the trained architectures and their validation accuracy, in the order of training.

        Raises:
            BenchmarkError: the problem is too small for the budget or the pool.
        """
        job, seed = self._job, self._seed
        searches = [self._started(repeat) for repeat in repeats]
        streams = [np.random.default_rng(seed_of(seed, "predictor", pool.name, repeat)) for repeat in repeats]
        for number in range(job.rounds):
            fitted = self._fitted(searches, [generator(seed, "weights", number, repeat) for repeat in repeats])
            for place, (seen, rng) in enumerate(zip(searches, streams, strict=True)):
                self._train(seen, self._chosen(pool, seen, partial(self._score, fitted, place), rng))
        return searches

    def _started(self, repeat: int) -> dict[Any, float]:
        rng = np.random.default_rng(seed_of(self._seed, "start", repeat))
        seen: dict[Any, float] = {}
        self._train(seen, filled(self._problem, [], self._job.start, {}, rng))
        return seen

    def _train(self, seen: dict[Any, float], found: Iterable[Any]) -> None:
        seen.update({each: self._problem.accuracy(each) for each in found})

    def _fitted(self, searches: Sequence[Seen], generators: Sequence[torch.Generator]) -> Fitted:
        graphs = self._encoder.together([list(seen) for seen in searches])
        reached = torch.tensor([list(seen.values()) for seen in searches], dtype=torch.float32)
        return fit(graphs, reached, self._job.predictor, generators)

    def _score(self, fitted: Fitted, place: int, found: Sequence[Any]) -> Predictions:
        predicted: NDArray[np.float32] = fitted.predict(place, self._encoder(found)).numpy()
        return predicted

    def _chosen(self, pool: Pool, seen: Seen, score: Score, rng: np.random.Generator) -> list[Any]:
        """The best of a pool that are not trained yet; uniform ones where the pool holds too few."""
        job = self._job
        found = propose(self._problem, pool, seen, score, job.acquisition, rng, self._prior)
        new = [place for place, each in enumerate(found) if each not in seen]
        taken = pick(score(found)[:, new], job.per_round, job.acquisition, rng)
        return filled(self._problem, [found[new[place]] for place in taken], job.per_round, seen, rng)
