"""The stage `simulate`: what it writes, that it is reproducible, that it sees no test column, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest
from job_file import job_file

from parsec.cli import main
from parsec.records.parquet import SCORES_FILE
from parsec.space.nasbench201 import SIZE, architectures
from parsec.tabular.nasbench201 import DATA
from parsec.tabular.simulate import SIMULATIONS_FILE

SMALL = {"space": "nasbench201", "repeats": 3, "budget": 15}


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A table with only what a search may see; its accuracies are random."""
    path, random = tmp_path_factory.mktemp("benchmark") / "table.parquet", np.random.default_rng(0)
    columns = {f"{data}_val_12": random.uniform(10, 95, SIZE) for data in DATA}
    frame = pd.DataFrame({"arch_index": range(SIZE), "arch_str": [str(arch) for arch in architectures()], **columns})
    frame.to_parquet(path, index=False)
    return path


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """Scores of the first 40 architectures, higher for higher numbers; number 39 failed."""
    path = tmp_path_factory.mktemp("scores") / "scores.parquet"
    rows = [
        {"architecture": str(architectures()[i]), "index": i, "score": float(i), "status": "scored", "seconds": 0.1}
        for i in range(40)
    ]
    rows[39] |= {"score": None, "status": "failed", "reason": "made up"}
    SCORES_FILE.write(path, rows, {"seed": 0, "provenance": {"settings": {"space": "nasbench201"}}})
    return path


@pytest.fixture
def start(searched, scores, tmp_path):
    """A function name, seed, with scores or without, changes of the settings → exit code; writes into `name`."""

    def run(name, seed=0, scored=True, **changes):
        settings = str(job_file(tmp_path, json.dumps(SMALL | changes)))
        given = ["--settings", settings, "--benchmark", str(searched), "--seed", str(seed)]
        return main(
            ["simulate", *given, "--output", str(tmp_path / name), *(["--scores", str(scores)] if scored else [])]
        )

    return run


def test_every_method_and_repeat_is_there(start, searched, tmp_path):
    assert start("a") == 0
    rows, origin = SIMULATIONS_FILE.read(tmp_path / "a" / "simulations.parquet")
    truth = pd.read_parquet(searched)["cifar10_val_12"].to_numpy()
    assert rows.groupby("method").repeat.nunique().to_dict() == dict.fromkeys(
        ["assisted_evolution", "evolution", "random", "reinforce"], 3
    )
    assert np.array_equal(truth[rows.architecture], rows.accuracy)
    for _, repeat in rows.groupby(["method", "repeat"]):
        assert repeat.trained.iloc[0] == 1
        assert repeat.accuracy.is_monotonic_increasing
        assert repeat.trained.is_monotonic_increasing
    assert rows.trained.max() <= 15
    assert rows.seconds.isna().all()
    assert origin["provenance"]["settings"]["budget"] == 15


def test_assisted_evolution_starts_from_scored_architectures(start, tmp_path):
    assert start("a", methods=["assisted_evolution"]) == 0
    rows, _ = SIMULATIONS_FILE.read(tmp_path / "a" / "simulations.parquet")
    assert (rows[rows.trained == 1].architecture < 39).all()


def test_seed_and_method_determine_rows(start, tmp_path):
    read = lambda name: SIMULATIONS_FILE.read(tmp_path / name / "simulations.parquet")[0]  # noqa: E731
    for name, changes in {"a": {}, "b": {}, "alone": {"methods": ["evolution"]}, "other": {"seed": 1}}.items():
        assert start(name, **changes) == 0
    pd.testing.assert_frame_equal(read("a"), read("b"))
    whole = read("a")
    pd.testing.assert_frame_equal(whole[whole.method == "evolution"].reset_index(drop=True), read("alone"))
    assert not read("other").equals(whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scored": False}, "give --scores"),
        ({"seconds": 12000.0}, "has no times"),
        ({"methods": []}, "methods"),
        ({"space": "nasbench101"}, "NAS-Bench-101"),
        ({"space": "nasbench101", "dataset": "in16"}, "nasbench101 has only cifar10"),
    ],
)
def test_invalid_settings_fail_in_one_line(start, capsys, tmp_path, changes, message):
    assert start("a", **changes) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "a").exists()


@pytest.fixture
def timed(searched, tmp_path):
    """The table with times: 100 seconds per training on CIFAR-10."""
    frame = pd.read_parquet(searched).assign(cifar10_seconds_12=100.0)
    frame.to_parquet(tmp_path / "timed.parquet", index=False)
    return tmp_path / "timed.parquet"


def test_time_budget_ends_the_search(timed, tmp_path):
    given = ["--benchmark", str(timed), "--seed", "0", "--output", str(tmp_path / "a")]
    settings = SMALL | {"methods": ["random"], "seconds": 450.0}
    assert main(["simulate", "--settings", str(job_file(tmp_path, json.dumps(settings))), *given]) == 0
    rows, _ = SIMULATIONS_FILE.read(tmp_path / "a" / "simulations.parquet")
    assert rows.trained.max() <= 4
    assert (rows.seconds == 100.0 * rows.trained).all()


def test_time_budget_needs_every_time(timed, capsys, tmp_path):
    frame = pd.read_parquet(timed)
    frame.loc[7, "cifar10_seconds_12"] = np.nan
    frame.to_parquet(timed, index=False)
    given = ["--benchmark", str(timed), "--seed", "0", "--output", str(tmp_path / "a")]
    settings = SMALL | {"methods": ["random"], "seconds": 450.0}
    assert main(["simulate", "--settings", str(job_file(tmp_path, json.dumps(settings))), *given]) == 2
    assert "has no times of some architectures; leave the key out" in capsys.readouterr().err


def test_too_few_seconds_are_refused(timed, capsys, tmp_path):
    given = ["--benchmark", str(timed), "--seed", "0", "--output", str(tmp_path / "a")]
    settings = SMALL | {"methods": ["random"], "seconds": 50.0}
    assert main(["simulate", "--settings", str(job_file(tmp_path, json.dumps(settings))), *given]) == 2
    assert "no training ends within it" in capsys.readouterr().err
