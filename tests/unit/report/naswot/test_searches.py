"""The table of NASWOT's searches: N candidates, a random choice, the best possible."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from parsec.errors import UserError
from parsec.report.tables import naswot_search
from parsec.report.tables.naswot import LABELS, read_score_file
from parsec.report.tables.registry import table_writer
from parsec.tabular.nasbench201 import DATA


def rows_of(benchmark, file, tmp_path):
    table_writer("naswot-search")([benchmark, file], tmp_path / "t")
    return pd.read_csv(tmp_path / "t.csv").set_index(["method", "candidates", "reached_on"])["mean"]


def test_perfect_scores_select_best_sample(benchmark, scores, tmp_path):
    mean = rows_of(benchmark, scores(), tmp_path)
    for count in (10, 100):
        # All but the failed architecture have their accuracy for a score.
        assert mean["NASWOT", count, "cifar10"] == pytest.approx(mean["Best of the sample", count, "cifar10"], abs=0.5)
        assert mean["NASWOT", count, "cifar100"] < mean["Best of the sample", count, "cifar100"] - 5


def test_sample_size_limited_by_scores(benchmark, scores, tmp_path):
    assert set(rows_of(benchmark, scores(), tmp_path).index.get_level_values("candidates").dropna()) == {10, 100}


def test_failed_architecture_never_beats_scored(scores):
    scored = read_score_file(scores(count=12))
    found = next(naswot_search.replay([scored]))
    failed = 11
    assert (found.sample == failed).any()
    assert not (found.chosen == failed).any()


def test_repeats_alternate_weight_draws(scores):
    files = [read_score_file(scores(count=40, noise=100.0, seed=seed)) for seed in range(3)]
    one, three = next(naswot_search.replay(files[:1])), next(naswot_search.replay(files))
    assert np.bincount(three.weights).tolist() == [167, 167, 166]
    assert (three.sample[:167] == one.sample[:167]).all(), "the first draw chooses among what it chose among alone"
    for place, scored in enumerate(files):
        here = three.weights == place
        found = scored.by_index()
        assert (found[three.chosen[here]] == found[three.sample[here]].max(1)).all()


def test_interval_is_over_weight_draws(benchmark, scores, truth, tmp_path):
    files = [scores(noise=60.0, seed=seed) for seed in range(4)]
    table_writer("naswot-search")([benchmark, *files], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv").set_index(["method", "candidates", "reached_on"])
    row = rows.loc["NASWOT", 10, "cifar10"]
    found = next(naswot_search.replay([read_score_file(file) for file in files]))
    reached = truth["cifar10_test_200"].to_numpy()[found.chosen]
    means = [reached[found.weights == draw].mean() for draw in range(4)]
    half = stats.t.ppf(0.975, 3) * stats.sem(means)
    assert (row["mean"], row["n"], row["draws"]) == (pytest.approx(reached.mean()), 500, 4)
    assert (row["low"], row["high"]) == pytest.approx((reached.mean() - half, reached.mean() + half))
    assert row["std"] == pytest.approx(reached.std(ddof=1))
    assert rows["draws"].dropna().index.unique("method").tolist() == ["NASWOT"]
    assert "seed 0 and 3 more" in (tmp_path / "t.md").read_text(encoding="utf-8")


def test_a_draw_given_twice_is_refused(benchmark, scores, tmp_path):
    with pytest.raises(UserError, match="same seed; give each draw once"):
        table_writer("naswot-search")([benchmark, scores(), scores()], tmp_path / "t")


def test_the_published_stand_below(benchmark, scores, tmp_path):
    rows_of(benchmark, scores(), tmp_path)
    text = (tmp_path / "t.md").read_text(encoding="utf-8")
    assert "92.81 ± 0.99" in text  # N = 100, log-determinant
    assert "91.61 ± 1.71" in text  # N = 100, first version in eval mode


def test_validation_section_follows_published(truth, scores, tmp_path):
    path = tmp_path / "imported.parquet"
    validation = {f"{data}_val_200": truth[f"{data}_val_12"] for data in DATA}
    truth.assign(**validation).to_parquet(path, index=False)
    table_writer("naswot-search")([path, scores()], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv")
    assert set(rows.split) == {"test", "validation"}
    best = rows[(rows.method == "Best of the sample") & (rows.candidates == 100) & (rows.split == "validation")]
    assert (best["mean"] > 90).all()  # of numbers between 20 and 95
    assert "89.92 ± 0.75" in (tmp_path / "t.md").read_text(encoding="utf-8")  # published, validation
    table_writer("naswot-correlation")([path, scores()], tmp_path / "c")
    assert {f"{label} validation" for label in LABELS.values()} < set(pd.read_csv(tmp_path / "c.csv").accuracy)
