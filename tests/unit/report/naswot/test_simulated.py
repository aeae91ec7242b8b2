"""What simulated searches had found: looked up by number of trainings, in the table and in the figure."""

import numpy as np
import pandas as pd
import pytest
from naswot_files import BUDGET, write_some_simulations

from parsec.cli import main
from parsec.report.tables.naswot_search import incumbents
from parsec.report.tables.registry import table_writer


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
    assert all(
        (tmp_path / f"{name}.{kind}").stat().st_size for name in ("cost", "dots") for kind in ("svg", "pdf", "png")
    )


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
