"""The table of NASWOT's searches: N candidates, a random choice, the best possible."""

import pandas as pd
import pytest

from parsec.report.naswot import draws
from parsec.report.naswot.inputs import read_scored
from parsec.report.tabulate import TABLES


def rows_of(benchmark, file, tmp_path):
    TABLES["naswot-search"]([benchmark, file], tmp_path / "t")
    return pd.read_csv(tmp_path / "t.csv").set_index(["method", "candidates", "test_of"])["mean"]


def test_scores_that_are_the_accuracy_choose_the_best_of_the_sample(benchmark, scores, tmp_path):
    mean = rows_of(benchmark, scores(), tmp_path)
    for count in (10, 100):
        # All but the failed architecture have their accuracy for a score.
        assert mean["NASWOT", count, "cifar10"] == pytest.approx(mean["Best of the sample", count, "cifar10"], abs=0.5)
        assert mean["NASWOT", count, "cifar100"] < mean["Best of the sample", count, "cifar100"] - 5


def test_no_more_are_drawn_than_were_scored(benchmark, scores, tmp_path):
    assert set(rows_of(benchmark, scores(), tmp_path).index.get_level_values("candidates").dropna()) == {10, 100}


def test_a_failed_architecture_is_never_chosen_beside_a_scored_one(scores):
    scored = read_scored(scores(count=12))
    found = next(draws.replay(scored))
    failed = 11
    assert (found.sample == failed).any()
    assert not (found.chosen == failed).any()


def test_the_published_stand_below(benchmark, scores, tmp_path):
    rows_of(benchmark, scores(), tmp_path)
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "92.81 ± 0.99" in text  # N = 100, log-determinant
    assert "91.61 ± 1.71" in text  # N = 100, first version in eval mode
