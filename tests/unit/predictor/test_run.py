"""The stage `predictor`: what it writes, that it goes on where it was stopped, and what it refuses."""

import json
import os
import signal

import numpy as np
import pandas as pd
import pytest

from parsec.cli import main
from parsec.config.base import Running
from parsec.config.tabular import Pool, Predictor, PredictorJob
from parsec.errors import CheckpointError, Interrupted, UserError
from parsec.predictor.search import Blocks, Sources, read_run, search_repeatedly
from parsec.tabular.nasbench201 import VALIDATION_12

ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=600.0)
POOLS = (Pool(kind="all"), Pool(kind="uniform", size=30), Pool(kind="evolution", size=30))
JOB = PredictorJob(problem="nasbench201", pools=POOLS, start=10, rounds=2, per_round=5, repeats=3, block=2,
                   predictor=Predictor(members=2, width=8, depth=1, steps=10))  # fmt: skip


@pytest.fixture
def start(table, tmp_path):
    def run(name, job=JOB, seed=0):
        search_repeatedly(job, Sources(table), seed, tmp_path / name, tmp_path / f"{name}-state", ALWAYS)
        return tmp_path / name

    return run


def test_repeats_spend_budget_from_shared_starts(start, problem):
    job, rows, _ = read_run(start("a"))
    assert job == JOB
    runs = rows.groupby(["pool", "repeat"], sort=False)
    assert list(runs.groups) == [(pool.name, repeat) for pool in POOLS for repeat in range(3)]
    for _, run in runs:
        assert run.order.tolist() == list(range(1, 21))
        assert run.architecture.nunique() == 20
        assert np.array_equal(run.accuracy, problem.reached[run.architecture])
    firsts = rows[rows.order <= 10].groupby("repeat").architecture.apply(lambda archs: archs.to_numpy().reshape(3, 10))
    assert all((archs == archs[0]).all() for archs in firsts)
    assert not np.array_equal(firsts[0][0], firsts[1][0])


def test_the_table_held_no_test_column(table, start):
    assert not [name for name in pd.read_parquet(table).columns if "test" in name or "200" in name]
    assert (start("a") / "trained.parquet").exists()


def test_predictor_search_beats_random_start(start):
    _, rows, _ = read_run(start("a", JOB.model_copy(update={"pools": POOLS[:1], "predictor": Predictor(steps=50)})))
    later = rows[rows.order > 15].groupby("repeat").accuracy.mean()
    assert (later > rows[rows.order <= 10].groupby("repeat").accuracy.mean()).all()


def test_settings_and_seed_determine_bytes(start):
    first, second, other = (start(*given) / "trained.parquet" for given in (("a",), ("b",), ("c", JOB, 1)))
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


def test_stopped_run_resumes_bit_identically(start, tmp_path, monkeypatch):
    whole = (start("whole") / "trained.parquet").read_bytes()
    advance, done = Blocks.advance, []

    def stopping(self):
        done.append(self.step)
        if len(done) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return advance(self)

    monkeypatch.setattr(Blocks, "advance", stopping)
    with pytest.raises(Interrupted):
        start("stopped")
    assert not (tmp_path / "stopped").exists()
    assert (start("stopped") / "trained.parquet").read_bytes() == whole
    assert done == [0, 1, 2, 3, 4, 5]
    assert not (tmp_path / "stopped-state").exists()


def test_run_refuses_resuming_with_another_table(table, start, tmp_path, monkeypatch):
    rows = pd.read_parquet(table)
    rows[VALIDATION_12["cifar10"]] -= 0.5
    rows.to_parquet(tmp_path / "other.parquet", index=False)
    monkeypatch.setattr(Blocks, "advance", lambda self: os.kill(os.getpid(), signal.SIGTERM) or [])
    with pytest.raises(Interrupted):
        start("a")
    with pytest.raises(CheckpointError):
        search_repeatedly(JOB, Sources(tmp_path / "other.parquet"), 0, tmp_path / "a", tmp_path / "a-state", ALWAYS)


def test_command_writes_files_with_provenance(table, tmp_path):
    settings = tmp_path / "job.json"
    settings.write_text(JOB.model_dump_json())
    given = ["--benchmark", str(table), "--seed", "0", "--output", str(tmp_path / "o"), "--state", str(tmp_path / "s")]
    assert main(["predictor", "--settings", str(settings), *given]) == 0
    document = json.loads((tmp_path / "o/predictor.json").read_text())
    assert document["architectures"] == 15_625
    assert document["provenance"]["settings"] == document["job"] == JOB.model_dump(mode="json")
    assert document["cost"]["wall_seconds"] > 0
    assert (tmp_path / "o/trained.parquet").exists()


def test_too_small_space_is_refused(start):
    with pytest.raises(UserError, match="fewer than the 20 to be trained and a pool of 15610"):
        start("a", JOB.model_copy(update={"pools": (Pool(kind="smart", size=15_610),)}))


def test_contradictory_settings_are_refused():
    with pytest.raises(ValueError, match="null for the kind all"):
        Pool(kind="all", size=3)
    with pytest.raises(ValueError, match="a number for the others"):
        Pool(kind="smart")
    with pytest.raises(ValueError, match="cifar10 with the problem nasbench101"):
        PredictorJob(problem="nasbench101", data="in16", pools=POOLS)


def test_nasbench101_subset_is_searched(shared_data, tmp_path):
    job = JOB.model_copy(update={"problem": "nasbench101", "repeats": 1})
    sources = Sources(shared_data("nasbench101-subset.parquet"))
    search_repeatedly(job, sources, 0, tmp_path / "a", tmp_path / "s", ALWAYS)
    assert len(read_run(tmp_path / "a").trained) == 3 * 20
