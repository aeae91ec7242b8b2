"""Searches among scores: the highest score is taken, whatever its accuracy."""

import numpy as np
import pandas as pd
import pytest

from parsec.report.tables.naswot_search import best_of_n

ACCURACIES = np.linspace(10.0, 90.0, 200)


def scored(scores):
    status = ["failed" if score is None else "scored" for score in scores]
    columns = {"index": range(len(scores)), "score": np.array(scores, dtype=float), "status": status}
    return pd.DataFrame({**columns, "seconds": 0.5})


def test_a_perfect_score_reaches_the_optimum():
    found = best_of_n(scored(list(ACCURACIES)), ACCURACIES, 10)
    assert found.chosen == found.optimum
    assert found.chosen.n == 500
    assert found.seconds == pytest.approx(5.0)


def test_worst_score_reaches_least_accurate():
    found = best_of_n(scored(list(-ACCURACIES)), ACCURACIES, 10)
    # The smallest of ten uniform draws lies at 1/11 of the range on average, the largest at 10/11.
    assert found.chosen.mean == pytest.approx(10 + 80 / 11, abs=1.5)
    assert found.optimum.mean == pytest.approx(10 + 800 / 11, abs=1.5)


def test_uninformative_score_is_random_search():
    noise = np.random.default_rng(1).permutation(200).astype(float)
    found = best_of_n(scored(list(noise)), ACCURACIES, 2)
    assert found.chosen.mean == pytest.approx(50.0, abs=5.0)


def test_failed_architectures_are_not_chosen():
    scores = [*([-1e6] * 100), *([None] * 100)]
    found = best_of_n(scored(scores), np.array([50.0] * 100 + [99.0] * 100), 50)
    assert found.chosen.mean == 50.0
    assert found.optimum.mean == 99.0


def test_equal_seeds_give_equal_searches():
    rows = scored(list(ACCURACIES[::-1]))
    assert best_of_n(rows, ACCURACIES, 5, seed=3) == best_of_n(rows, ACCURACIES, 5, seed=3)
    assert best_of_n(rows, ACCURACIES, 5, seed=3) != best_of_n(rows, ACCURACIES, 5, seed=4)


def test_search_needs_enough_scores():
    with pytest.raises(ValueError, match="needs as many"):
        best_of_n(scored([1.0, 2.0]), ACCURACIES, 3)
