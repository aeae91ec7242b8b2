"""Pools: their sizes, what is in them, and what is taken of them."""

import numpy as np
import pytest

from parsec.config.tabular import Pool
from parsec.errors import BenchmarkError
from parsec.predictor.candidates import best, filled, pick, propose


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def seen(problem, rng):
    return {arch: problem.accuracy(arch) for arch in problem.draw(40, rng)}


def true(problem):
    return lambda archs: np.array([[problem.accuracy(each) for each in archs]], np.float32)


def away(problem, parents):
    """Edits to the nearest parent: architecture → 1 or 2; what is further away is not in it."""
    one = {other for arch in parents for other in problem.neighbours(arch)}
    return {other: 2 for arch in one for other in problem.neighbours(arch)} | dict.fromkeys(one, 1)


@pytest.mark.parametrize("kind", ["uniform", "smart", "evolution"])
def test_pool_has_only_untrained_architectures(problem, seen, rng, kind):
    pool = propose(problem, Pool(kind=kind, size=200), seen, true(problem), "mean", rng)
    assert len(pool) == len(set(pool)) == 200
    assert not set(pool) & seen.keys()


def test_pool_all_is_the_whole_space(problem, seen, rng):
    assert propose(problem, Pool(kind="all"), seen, true(problem), "mean", rng) == range(15_625)


def test_smart_pool_mixes_edits_and_uniform(problem, seen, rng):
    pool = propose(problem, Pool(kind="smart", size=200), seen, true(problem), "mean", rng)
    edits = away(problem, best(seen, 10))
    near = [edits.get(each) for each in pool[:180]]
    assert None not in near
    assert near.count(1) >= 120
    assert near.count(2) > 20
    # Of uniform draws many are far: here that tells the last tenth from the rest.
    assert sum(each not in edits for each in pool[180:]) > 5


def test_evolution_pool_beats_smart_with_oracle(problem, seen, rng):
    reached = {
        kind: np.max(true(problem)(propose(problem, Pool(kind=kind, size=200), seen, true(problem), "mean", rng)))
        for kind in ("smart", "evolution")
    }
    assert reached["evolution"] > reached["smart"]


def test_exhausted_space_is_refused(problem, rng):
    class Tiny(type(problem)):
        def __init__(self):
            self.name = "tiny"

        def draw(self, count, rng):
            return [int(index) for index in rng.integers(5, size=count)]

    assert sorted(filled(Tiny(), [], 4, {0: 1.0}, rng)) == [1, 2, 3, 4]
    with pytest.raises(BenchmarkError, match="too few architectures"):
        filled(Tiny(), [], 5, {0: 1.0}, rng)


PREDICTED = np.array([[1.0, 3.0, 0.0, 2.0], [1.0, 1.0, 5.0, 2.0]], np.float32)


def test_mean_and_upper_bound_rank(rng):
    assert pick(PREDICTED, 2, "mean", rng).tolist() == [2, 1]
    assert pick(PREDICTED, 3, "mean", rng).tolist() == [2, 1, 3]
    certain = PREDICTED[:, [3, 0]] + [[0.0, 0.5], [0.0, 3.0]]
    assert pick(certain, 1, "mean", rng).tolist() == [1]
    risky = np.array([[2.0, 0.0], [2.0, 3.9]], np.float32)
    assert pick(risky, 1, "mean", rng).tolist() == [0]
    assert pick(risky, 1, "upper_bound", rng).tolist() == [1]


def test_thompson_picks_member_favourites_without_repeats(rng):
    first = {int(pick(PREDICTED, 1, "thompson", rng)[0]) for _ in range(50)}
    assert first == {1, 2}
    assert sorted(pick(PREDICTED, 9, "thompson", rng).tolist()) == [0, 1, 2, 3]
