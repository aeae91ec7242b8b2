"""Tables and figure of predictor-based search, from a made-up run whose answers are known."""

import json

import numpy as np
import pandas as pd
import pytest

from parsec.cli import main
from parsec.config.tabular import Pool, PredictorJob
from parsec.errors import UserError
from parsec.predictor.search import content_hash, write_trained
from parsec.report.figures import predictor as figure
from parsec.report.tables import predictor
from parsec.space.nasbench201 import SIZE, architectures
from parsec.tabular.nasbench201 import DATA, HALF_200, TEST_200, VALIDATION_12

BUDGET, REPEATS = 40, 30
JOB = PredictorJob(problem="nasbench201", start=10, rounds=3, per_round=10, repeats=REPEATS,
                   pools=(Pool(kind="all"), Pool(kind="uniform", size=9), Pool(kind="smart", size=9)))  # fmt: skip
FOUND_AT = {"all": 10, "uniform-9": 30, "smart-9": 6}
"""About when a search with a pool finds the best architecture, number 0."""


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    """Accuracy falls with the number of the architecture; of every test accuracy the same is known by a shift."""
    names = {"arch_index": range(SIZE), "arch_str": [str(arch) for arch in architectures()]}
    falling = np.linspace(90.0, 10.0, SIZE)
    columns = {VALIDATION_12[data]: falling for data in DATA}
    columns |= {TEST_200[data]: falling - 1 - place for place, data in enumerate(DATA)} | {HALF_200: falling}
    path = tmp_path_factory.mktemp("benchmark") / "table.parquet"
    pd.DataFrame(names | columns).to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run; with the uniform subset every third repeat misses the best architecture."""
    path, falling = tmp_path_factory.mktemp("run"), np.linspace(90.0, 10.0, SIZE)
    rows, rng = [], np.random.default_rng(0)
    for repeat in range(REPEATS):
        for pool, at in FOUND_AT.items():
            archs = rng.integers(8_000, SIZE, size=BUDGET)
            if pool != "uniform-9" or repeat % 3:
                archs[at + int(rng.integers(-3, 4))] = 0
            rows += [
                {"pool": pool, "repeat": repeat, "order": order, "architecture": each, "accuracy": falling[each]}
                for order, each in enumerate(archs.tolist(), 1)
            ]
    write_trained(path / "trained.parquet", JOB, rows)
    page = {"job": JOB.model_dump(mode="json"), "accuracies_hash": content_hash(falling)}
    (path / "predictor.json").write_text(json.dumps(page))
    return path


def best(numbers):
    return numbers[numbers.quality == "best"].set_index("pool")


def test_gains_are_bounded_when_missed(folder, benchmark):
    table, numbers, _ = predictor.make_gain_table([folder, benchmark])
    rows = best(numbers)
    assert rows.random_needed.tolist() == [(SIZE + 1) / 2] * 3
    assert rows.gain_is_upper_bound.to_dict() == {"all": False, "uniform-9": True, "smart-9": False}
    assert rows.reached_value["uniform-9"] == pytest.approx(2 / 3)
    assert rows.gain_value["all"] == pytest.approx((SIZE + 1) / 2 / 11, rel=0.1)
    assert (rows.gain_low <= rows.gain_value).all()
    assert (rows.gain_value <= rows.gain_high).all()
    printed = {row[0]: row for row in table.sections[-1].rows}
    assert printed["uniform-9"][4].startswith("≤ ")
    assert "[" in printed["all"][4]
    assert printed["all"][1] == str(REPEATS)
    assert printed["random search, exact"][1] == printed["random search, exact"][3] == "–"


def test_verdicts_follow_the_intervals(folder, benchmark):
    numbers = predictor.make_claims_table([folder, benchmark]).data
    claims = numbers[numbers.quality == "best"].set_index("difference")
    assert claims.verdict.tolist() == ["holds"] * 4
    assert claims.value["uniform-9 − all"] == pytest.approx(23, abs=3)
    assert claims.high["smart-9 − all"] <= 1
    assert claims.low["uniform-9 − smart-9"] > 0


def test_without_a_difference_no_claim_holds(folder, benchmark, tmp_path):
    rows = pd.read_parquet(folder / "trained.parquet")
    same = pd.concat(rows[rows.pool == "all"].assign(pool=pool) for pool in FOUND_AT)
    write_trained(tmp_path / "trained.parquet", JOB, same.to_dict("records"))
    (tmp_path / "predictor.json").write_bytes((folder / "predictor.json").read_bytes())
    numbers = predictor.make_claims_table([tmp_path, benchmark]).data
    verdicts = numbers[numbers.quality == "best"].set_index("difference").verdict
    assert verdicts["random − all"] == "holds"
    assert verdicts["uniform-9 − all"] == verdicts["uniform-9 − smart-9"] == "no significant difference"


def test_recovery_is_partial_below_whole_space(folder, benchmark, tmp_path):
    rows = pd.read_parquet(folder / "trained.parquet")
    rows["pool"] = rows["pool"].replace({"all": "smart-9", "smart-9": "all"})
    write_trained(tmp_path / "trained.parquet", JOB, rows.to_dict("records"))
    (tmp_path / "predictor.json").write_bytes((folder / "predictor.json").read_bytes())
    numbers = predictor.make_claims_table([tmp_path, benchmark]).data
    assert numbers[numbers.difference == "smart-9 − all"].verdict.tolist()[-1] == "holds in part"


def test_selected_architectures_have_benchmark_accuracy(folder, benchmark):
    numbers = predictor.make_selected_table([folder, benchmark]).data
    accuracies = numbers.set_index(["pool", "accuracy"]).value
    assert [accuracies["all", name] for name in ("validation", *DATA)] == pytest.approx([90, 89, 88, 87])
    assert [accuracies["best of the space by validation", name] for name in DATA] == pytest.approx([89, 88, 87])
    assert accuracies["uniform-9", "cifar10"] < 89
    # The best of 40 of numbers that fall evenly from 90 by 80.
    assert accuracies["random search, exact", "validation"] == pytest.approx(90 - 80 / (BUDGET + 1), abs=0.01)


def test_command_writes_all_table_formats(folder, benchmark, tmp_path):
    inputs = [str(folder), str(benchmark)]
    for name in ("predictor", "predictor-claims", "predictor-chosen"):
        assert main(["table", name, "--output", str(tmp_path / name), *inputs]) == 0
        assert all((tmp_path / f"{name}.{kind}").stat().st_size for kind in ("csv", "md", "tex"))
        assert not set((tmp_path / f"{name}.tex").read_text()) & set("≤−")
    assert "scoring the whole space trains fewer than random search: holds" in (tmp_path / "predictor.md").read_text()


def test_figure_shows_pools_and_random(folder, benchmark, tmp_path):
    drawing = figure.plot_predictor([folder, benchmark])
    assert list(drawing.data.pool.unique()) == [*FOUND_AT, "random search, exact"]
    ends = drawing.data[drawing.data.trained == BUDGET].set_index("pool")
    assert ends.loc["all", "median"] == 90.0
    assert ends.loc["uniform-9", "lower"] < 90.0
    assert (drawing.data.lower <= drawing.data.upper).all()
    assert main(["figure", "predictor", "--output", str(tmp_path / "figure"), str(folder), str(benchmark)]) == 0
    assert (tmp_path / "figure.png").exists()


def test_other_benchmark_is_refused(folder, benchmark, tmp_path):
    rows = pd.read_parquet(benchmark)
    rows[VALIDATION_12["cifar10"]] -= 0.5
    rows.to_parquet(tmp_path / "other.parquet", index=False)
    with pytest.raises(UserError, match=r"not what .* searched"):
        predictor.make_gain_table([folder, tmp_path / "other.parquet"])
    with pytest.raises(UserError, match="followed by the file"):
        predictor.make_gain_table([folder])
    with pytest.raises(UserError, match=r"predictor.json: cannot be read"):
        predictor.make_gain_table([tmp_path, benchmark])
