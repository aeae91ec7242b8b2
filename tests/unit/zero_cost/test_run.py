"""The stage `score`: what it writes, that it is reproducible, and that a killed run loses nothing."""

import json
import os
import subprocess
import sys

import pandas as pd
import pytest
import torch
from job_file import job_file
from processes import caught

from parsec.cli import main
from parsec.config.base import Running, as_json
from parsec.errors import CheckpointError, DatasetError, UserError
from parsec.records.parquet import SCORES_FILE
from parsec.space.nasbench201 import SIZE, architectures
from parsec.zero_cost.candidates import shuffled
from parsec.zero_cost.naswot import UnscoredError
from parsec.zero_cost.score import SCORES, Scoring

ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=600.0)


def test_rows_name_architecture_index_and_score(start, tmp_path):
    rows, about = SCORES_FILE.read(start("a"))
    assert rows["index"].tolist() == shuffled(SIZE, 3, 0)
    assert rows.architecture.tolist() == [str(architectures()[index]) for index in shuffled(SIZE, 3, 0)]
    assert rows.status.tolist() == ["scored"] * 3
    assert rows.reason.isna().all()
    assert rows.score.notna().all()
    assert about["seed"] == 0
    assert about["provenance"]["settings"]["score"]["batch_size"] == 8
    assert len(about["provenance"]["dataset_hash"]) == 64
    assert 0 < rows.seconds.sum() <= about["cost"]["wall_seconds"]
    assert not (tmp_path / "state" / "a").exists()


def test_pandas_reads_the_file_by_itself(start):
    assert pd.read_parquet(start("a")).columns.tolist() == [
        "architecture", "index", "score", "status", "reason", "seconds",
    ]  # fmt: skip


def test_settings_and_seed_determine_scores(start):
    first, again, other = (SCORES_FILE.read(start(name, seed))[0] for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert first.score.tolist() == again.score.tolist()
    assert set(first["index"]) != set(other["index"])


def test_scores_are_independent_of_scoring_order(start):
    few, more = (SCORES_FILE.read(start(name, architectures=count))[0] for name, count in (("a", 2), ("b", 4)))
    assert few.score.tolist() == more.score.tolist()[:2]


def test_sample_has_no_repeated_architecture():
    assert len(set(shuffled(SIZE, 1000, 0))) == 1000
    assert shuffled(SIZE, None, 0) == list(range(SIZE))


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "jacobian_eigenvalues"},
        {"kind": "jacobian_eigenvalues", "mode": "eval"},
        {"images": "noise"},
        {"mode": "eval"},
        {"batch_size": 12},
        *({"initialisation": name} for name in ("normal", "uniform", "orthogonal", "identity")),
    ],
)
def test_settings_change_the_score(start, changes):
    plain, changed = (SCORES_FILE.read(start(str(index), **each))[0] for index, each in enumerate(({}, changes)))
    assert plain["index"].tolist() == changed["index"].tolist()
    assert (plain.score != changed.score).all()


def test_failed_architecture_is_recorded_with_reason(start, monkeypatch):
    matrix, number = SCORES["relu_log_determinant"]
    seen = []

    def second_fails(kernel):
        seen.append(kernel)
        if len(seen) == 2:
            raise UnscoredError("not\nthis one")
        return number(kernel)

    monkeypatch.setitem(SCORES, "relu_log_determinant", (matrix, second_fails))
    rows, _ = SCORES_FILE.read(start("a"))
    assert rows.status.tolist() == ["scored", "failed", "scored"]
    assert rows.score.isna().tolist() == [False, True, False]
    assert rows.reason[1] == "not this one"


def test_too_little_memory_fails_one_architecture(start, monkeypatch):
    def exhausted(network, images):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setitem(SCORES, "relu_log_determinant", (exhausted, SCORES["relu_log_determinant"][1]))
    rows, _ = SCORES_FILE.read(start("a"))
    assert rows.reason.tolist() == ["no memory"] * 3


def test_code_errors_are_not_failed_architectures(start, monkeypatch):
    def broken(network, images):
        raise RuntimeError("shapes differ")

    monkeypatch.setitem(SCORES, "relu_log_determinant", (broken, SCORES["relu_log_determinant"][1]))
    with pytest.raises(RuntimeError, match="shapes differ"):
        start("a")


def test_killed_run_resumes_where_it_stopped(start, digits, make_job, tmp_path):
    expected = SCORES_FILE.read(start("undisturbed", architectures=6))[0]

    def begin(attempt):
        name = f"killed{attempt}"
        places = ["--data", digits, "--output", tmp_path / name, "--state", tmp_path / "state" / name]
        settings = job_file(tmp_path, as_json(make_job(6)))
        command = ["-m", "parsec", "score", "--settings", settings, "--seed", "0", *places]
        environment = os.environ | {"PARSEC_CHECKPOINT_SECONDS": "0"}
        process = subprocess.Popen([sys.executable, *map(str, command)], env=environment, stderr=subprocess.PIPE)
        return process, tmp_path / "state" / name

    with caught(begin, 3, 5) as (process, state):
        process.kill()
    process.communicate()
    assert not (tmp_path / state.name).exists()

    scored = []
    original = Scoring.score

    def counted(self, arch, index):
        scored.append(index)
        return original(self, arch, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Scoring, "score", counted)
        continued, about = SCORES_FILE.read(start(state.name, architectures=6, running=ALWAYS))
    assert len(scored) < 5
    assert continued.drop(columns="seconds").equals(expected.drop(columns="seconds"))
    assert about["cost"]["restarts"] == 1


def test_state_of_another_scoring_is_refused(start, monkeypatch):
    original = Scoring.advance

    def limited(self):
        if self.step == 1:
            raise KeyboardInterrupt
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Scoring, "advance", limited)
        with pytest.raises(KeyboardInterrupt):
            start("a", running=ALWAYS)
    with pytest.raises(CheckpointError, match=r"changed since: seed \(0, now 1\)"):
        start("a", seed=1)


def test_wrong_or_too_few_images_refused(start, make_job, digits, tmp_path, capsys):
    with pytest.raises(DatasetError, match="fewer than batch_size"):
        start("a", batch_size=10_000)
    other = job_file(tmp_path, json.dumps({**json.loads(as_json(make_job())), "dataset": "cifar10"}))
    places = ["--data", digits, "--output", tmp_path / "a", "--state", tmp_path / "s"]
    assert main([str(part) for part in ("score", "--settings", other, "--seed", "0", *places)]) == 2
    assert "holds digits, but the settings want cifar10" in capsys.readouterr().err


def test_other_files_are_no_scores(tmp_path):
    with pytest.raises(UserError, match="missing"):
        SCORES_FILE.read(tmp_path / "none.parquet")
    pd.DataFrame({"score": [1.0]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(UserError, match="not a table of scores"):
        SCORES_FILE.read(tmp_path / "other.parquet")


def test_scores_of_other_versions_fail(tmp_path):
    SCORES_FILE._replace(version="0").write(tmp_path / "old.parquet", [], {})
    with pytest.raises(UserError, match="not a table of scores of version 1; run `parsec score` to make it"):
        SCORES_FILE.read(tmp_path / "old.parquet")
