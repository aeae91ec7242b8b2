"""What simulated searches had found: looked up by number of trainings, in the table and in the figure."""

import numpy as np
import pandas as pd
import pytest

from parsec.cli import main
from parsec.report.simulated import incumbents
from parsec.report.tabulate import TABLES
from parsec.simulate.table import write_simulations

BUDGET = 60


@pytest.fixture
def simulate(tmp_path):
    """A function seconds of the budget → two repeats of two searches: number 7 at once and a better one later.

    With a budget in seconds every training took 10.
    """

    def write(seconds=None):
        rows = [
            {"method": method, "repeat": repeat, "trained": trained, "architecture": found, "accuracy": float(trained)}
            for method, late in {"random": 40, "evolution": 20}.items()
            for repeat in range(2)
            for trained, found in ((1, 7), (late + repeat, 100 + repeat))
        ]
        settings = {"space": "nasbench201", "dataset": "cifar10", "budget": BUDGET, "repeats": 2, "seconds": seconds}
        frame = pd.DataFrame(rows)
        frame["seconds"] = np.nan if seconds is None else 10.0 * frame["trained"]
        write_simulations(tmp_path / "sim.parquet", frame, {"provenance": {"settings": settings}})
        return tmp_path / "sim.parquet"

    return write


@pytest.fixture
def simulations(simulate):
    """Searches in a table without times."""
    return simulate()


def test_the_best_so_far_holds_until_a_better_one():
    rows = pd.DataFrame({"repeat": [0, 0, 1], "trained": [1, 5, 1], "architecture": [3, 9, 4]})
    assert incumbents(rows, np.array([1, 4, 5, 80])).tolist() == [[3, 3, 9, 9], [4, 4, 4, 4]]


def test_the_table_looks_up_test_accuracies(benchmark, truth, simulations, tmp_path):
    TABLES["naswot-evolution"]([benchmark, simulations], tmp_path / "t")
    mean = pd.read_csv(tmp_path / "t.csv").set_index(["method", "spent", "test_of"])["mean"]
    test = truth["in16_test_200"]
    assert mean["evolution", 25, "in16"] == pytest.approx((test[100] + test[101]) / 2)
    assert mean["random", 25, "in16"] == pytest.approx(test[7])
    assert mean["random", BUDGET, "in16"] == pytest.approx((test[100] + test[101]) / 2)
    assert "93.92 ± 0.3" in (tmp_path / "t.md").read_text(encoding="utf-8")  # published, regularised evolution


def test_the_figures_are_drawn_with_their_numbers(benchmark, truth, simulations, scores, tmp_path):
    plot = ["plot", "naswot-cost", "--output", str(tmp_path / "cost")]
    assert main([*plot, str(benchmark), str(simulations), str(scores())]) == 0
    rows = pd.read_csv(tmp_path / "cost.csv").set_index(["method", "spent", "test_of"])["mean"]
    assert rows["evolution", BUDGET, "cifar10"] == pytest.approx(truth["cifar10_test_200"][100:102].mean())
    assert set(rows.loc["naswot"].index.get_level_values("spent")) == {0}
    assert main(["plot", "naswot-scatter", "--output", str(tmp_path / "dots"), str(benchmark), str(scores())]) == 0
    dots = pd.read_csv(tmp_path / "dots.csv")
    assert np.allclose(dots.accuracy[dots.test_of == "in16"], truth["in16_test_200"][:199])
    assert all(
        (tmp_path / f"{name}.{kind}").stat().st_size for name in ("cost", "dots") for kind in ("svg", "pdf", "png")
    )


def test_a_budget_of_seconds_is_looked_at_in_seconds(benchmark, truth, simulate, tmp_path):
    TABLES["naswot-evolution"]([benchmark, simulate(seconds=600.0)], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv")
    assert set(rows.unit) == {"seconds"}
    assert set(rows.spent) == {600.0}
    assert "600 s, test" in (tmp_path / "t.md").read_text(encoding="utf-8")
    path = tmp_path / "early.parquet"
    simulate(seconds=205.0).rename(path)
    TABLES["naswot-evolution"]([benchmark, path], tmp_path / "t")
    mean = pd.read_csv(tmp_path / "t.csv").set_index(["method", "test_of"])["mean"]
    test = truth["cifar100_test_200"]
    assert mean["random", "cifar100"] == pytest.approx(test[7])
    assert mean["evolution", "cifar100"] == pytest.approx((test[7] + test[100]) / 2)
    assert main(["plot", "naswot-cost", "--output", str(tmp_path / "f"), str(benchmark), str(path)]) == 0
    assert pd.read_csv(tmp_path / "f.csv").spent.max() == pytest.approx(205.0)


def test_files_of_another_kind_are_refused(benchmark, scores, capsys, tmp_path):
    assert main(["tabulate", "naswot-evolution", "--output", str(tmp_path / "t"), str(benchmark), str(scores())]) == 2
    assert "not a table of simulated searches" in capsys.readouterr().err
