"""Searches by NASWOT's score and simulated searches: tables and figures."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from naswot_files import BUDGET, write_some_simulations
from scipy import stats

from parsec.cli import main
from parsec.errors import UserError
from parsec.report.registry import table_writer
from parsec.report.tables import naswot_search
from parsec.report.tables.nasbench201 import LABELS
from parsec.report.tables.naswot import ScoreFile, read_score_file
from parsec.report.tables.naswot_search import incumbents
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


def test_too_few_scores_are_refused(benchmark, scores, tmp_path):
    with pytest.raises(UserError, match="fewer than 10 architectures; score more"):
        table_writer("naswot-search")([benchmark, scores(count=9)], tmp_path / "t")


def test_failed_architecture_never_beats_scored(scores):
    scored = read_score_file(scores(count=12))
    replayed = next(naswot_search.replay([scored]))
    failed = 11
    assert (replayed.sample == failed).any()
    assert not (replayed.chosen == failed).any()


def score_file(scores, seed=0):
    """Scores of the first architectures; None for a failed one."""
    status = ["failed" if score is None else "scored" for score in scores]
    columns = {"index": range(len(scores)), "score": np.array(scores, dtype=float), "status": status, "seconds": 0.5}
    return ScoreFile(pd.DataFrame(columns), "relu_log_determinant", "train", "cifar10", seed, "{}")


def selected_mean(scores, count, seed=0):
    """Mean accuracy of what searches among `count` select, where accuracy rises from 10 to 90 with the index."""
    runs = {sampled.candidates: sampled for sampled in naswot_search.replay([score_file(scores, seed)])}
    return np.linspace(10.0, 90.0, len(scores))[runs[count].chosen].mean()


def test_worst_score_selects_least_accurate():
    # The largest of ten uniform draws is at 10/11 of the range on average, the smallest at 1/11.
    assert selected_mean(np.arange(200.0), 10) == pytest.approx(10 + 800 / 11, abs=1.5)
    assert selected_mean(-np.arange(200.0), 10) == pytest.approx(10 + 80 / 11, abs=1.5)


def test_uninformative_score_is_random_search():
    # Of one permutation the few best scores may be of good architectures by chance, so the mean is over 30.
    random = np.random.default_rng(1)
    means = [selected_mean(random.permutation(200).astype(float), 10) for _ in range(30)]
    assert np.mean(means) == pytest.approx(50.0, abs=3.0)


def test_seed_of_scores_determines_samples():
    first, again, other = (next(naswot_search.replay([score_file(np.arange(200.0), seed)])) for seed in (3, 3, 4))
    assert (first.sample == again.sample).all()
    assert (first.sample != other.sample).any()
    assert first.seconds == pytest.approx(5.0)


def test_repeats_alternate_weight_draws(scores):
    files = [read_score_file(scores(count=40, noise=100.0, seed=seed)) for seed in range(3)]
    one, three = next(naswot_search.replay(files[:1])), next(naswot_search.replay(files))
    assert np.bincount(three.weights).tolist() == [167, 167, 166]
    assert (three.sample[:167] == one.sample[:167]).all(), "the first draw chooses among what it chose among alone"
    for place, scored in enumerate(files):
        here = three.weights == place
        indexed_scores = scored.by_index()
        assert (indexed_scores[three.chosen[here]] == indexed_scores[three.sample[here]].max(1)).all()


def test_interval_is_over_weight_draws(benchmark, scores, truth, tmp_path):
    files = [scores(noise=60.0, seed=seed) for seed in range(4)]
    table_writer("naswot-search")([benchmark, *files], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv").set_index(["method", "candidates", "reached_on"])
    row = rows.loc["NASWOT", 10, "cifar10"]
    replayed = next(naswot_search.replay([read_score_file(file) for file in files]))
    reached = truth["cifar10_test_200"].to_numpy()[replayed.chosen]
    means = [reached[replayed.weights == draw].mean() for draw in range(4)]
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


@pytest.fixture
def simulate(tmp_path):
    """A function seconds of the budget → a `simulations.parquet`; see `write_some_simulations`."""
    return lambda seconds=None: write_some_simulations(tmp_path / "sim.parquet", seconds)


@pytest.fixture
def simulations(simulate):
    """Searches in a table without times."""
    return simulate()


def test_incumbent_holds_until_improved():
    rows = pd.DataFrame({"repeat": [0, 0, 1], "trained": [1, 5, 1], "architecture": [3, 9, 4]})
    assert incumbents(rows, np.array([1, 4, 5, 80])).tolist() == [[3, 3, 9, 9], [4, 4, 4, 4]]


def test_the_table_looks_up_test_accuracies(benchmark, truth, simulations, tmp_path):
    table_writer("naswot-evolution")([benchmark, simulations], tmp_path / "t")
    mean = pd.read_csv(tmp_path / "t.csv").set_index(["method", "spent", "test_of"])["mean"]
    test = truth["in16_test_200"]
    assert mean["evolution", 25, "in16"] == pytest.approx((test[100] + test[101]) / 2)
    assert mean["random", 25, "in16"] == pytest.approx(test[7])
    assert mean["random", BUDGET, "in16"] == pytest.approx((test[100] + test[101]) / 2)
    assert "93.92 ± 0.3" in (tmp_path / "t.md").read_text(encoding="utf-8")  # published, regularised evolution


def test_figures_come_with_numbers(benchmark, truth, simulations, scores, tmp_path):
    plot = ["figure", "naswot-cost", "--output", str(tmp_path / "cost")]
    assert main([*plot, str(benchmark), str(simulations), str(scores())]) == 0
    rows = pd.read_csv(tmp_path / "cost.csv").set_index(["method", "spent", "test_of"])["mean"]
    assert rows["evolution", BUDGET, "cifar10"] == pytest.approx(truth["cifar10_test_200"][100:102].mean())
    assert set(rows.loc["naswot"].index.get_level_values("spent")) == {0}
    assert main(["figure", "naswot-scatter", "--output", str(tmp_path / "dots"), str(benchmark), str(scores())]) == 0
    dots = pd.read_csv(tmp_path / "dots.csv")
    assert np.allclose(dots.accuracy[dots.test_of == "in16"], truth["in16_test_200"][:199])
    # Panels with lines and dots: more than a few pixels are not white, and most are.
    for name in ("cost", "dots"):
        assert 0.02 < (image.imread(tmp_path / f"{name}.png")[..., :3].min(axis=2) < 0.9).mean() < 0.5


def test_budget_in_seconds_uses_seconds(benchmark, truth, simulate, tmp_path):
    table_writer("naswot-evolution")([benchmark, simulate(seconds=600.0)], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv")
    assert set(rows.unit) == {"seconds"}
    assert set(rows.spent) == {600.0}
    assert "600 s, test" in (tmp_path / "t.md").read_text(encoding="utf-8")
    path = tmp_path / "early.parquet"
    simulate(seconds=205.0).rename(path)
    table_writer("naswot-evolution")([benchmark, path], tmp_path / "t")
    mean = pd.read_csv(tmp_path / "t.csv").set_index(["method", "test_of"])["mean"]
    test = truth["cifar100_test_200"]
    assert mean["random", "cifar100"] == pytest.approx(test[7])
    assert mean["evolution", "cifar100"] == pytest.approx((test[7] + test[100]) / 2)
    assert main(["figure", "naswot-cost", "--output", str(tmp_path / "f"), str(benchmark), str(path)]) == 0
    assert pd.read_csv(tmp_path / "f.csv").spent.max() == pytest.approx(205.0)


def test_files_of_another_kind_are_refused(benchmark, scores, capsys, tmp_path):
    assert main(["table", "naswot-evolution", "--output", str(tmp_path / "t"), str(benchmark), str(scores())]) == 2
    assert "not a table of simulated searches" in capsys.readouterr().err
