"""The stage `ablate`: what a repeat draws again and what it keeps, and that a stopped run goes on to the same rows."""

import json

import pandas as pd
import pytest
import torch
from job_file import job_file

from parsec.cli import main
from parsec.config.base import Compute, Running
from parsec.config.zero_cost import AblationJob, Condition, Score, published_conditions
from parsec.records.parquet import ABLATION_FILE, SCORES_FILE
from parsec.zero_cost.ablation import Ablation, ablate
from parsec.zero_cost.candidates import NasBench201Candidates

ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=600.0)
SCORE = Score(batch_size=8)
CONDITIONS = (
    Condition(name="images", varies="images", score=SCORE),
    Condition(name="weights", varies="weights", score=SCORE),
    Condition(name="identity", varies="weights", score=Score(batch_size=8, initialisation="identity")),
)


@pytest.fixture
def job():
    shared = {"space": "nasbench201", "dataset": "digits", "networks": 2, "repeats": 3}
    return AblationJob(**shared, conditions=CONDITIONS, compute=Compute(device="cpu"))


@pytest.fixture
def run(job, digits, tmp_path):
    """A function name → rows of an ablation."""

    def start(name):
        ablate(job, digits, 0, tmp_path / name, tmp_path / "state" / name, ALWAYS)
        return ABLATION_FILE.read(tmp_path / name / "ablation.parquet")[0]

    return start


def comparable(rows):
    return rows.drop(columns="seconds")


def test_rows_by_condition_repeat_and_network(run, tmp_path):
    rows = run("a")
    assert len(rows) == 3 * 3 * 2
    assert rows.groupby("condition", sort=False).size().to_dict() == {"images": 6, "weights": 6, "identity": 6}
    scores = rows.set_index(["condition", "repeat", "index"]).score.unstack("repeat")
    assert (scores.loc["images"].nunique(axis=1) == 3).all()
    assert (scores.loc["weights"].nunique(axis=1) == 3).all()
    # The identity has nothing to draw but biases of a layer behind the last rectifier.
    assert (scores.loc["identity"].nunique(axis=1) == 1).all()
    assert not (tmp_path / "state" / "a").exists()


def test_fixed_factors_match_plain_scoring(run, start):
    """Under the identity, weights that are drawn again are the same: its rows are those of a plain scoring."""
    plain = SCORES_FILE.read(start("s", architectures=2, initialisation="identity"))[0].set_index("index").score
    rows = run("a")
    identity = rows[rows.condition == "identity"]
    assert (identity.score.to_numpy() == plain[identity["index"]].to_numpy()).all()
    images = rows[rows.condition == "images"]
    assert set(images["index"]) == set(plain.index)


def test_image_repeats_keep_the_weights(job):
    """With images that never change, what is left to differ between repeats is the weights."""
    images = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    ablation = Ablation(job, 0, NasBench201Candidates().indices(2, 0), lambda *_: images)
    rows = pd.DataFrame([row for _ in range(12) for row in ablation.advance()])
    scores = rows.groupby(["condition", "index"]).score.nunique()
    assert scores["images"].tolist() == [1, 1]
    assert scores["weights"].tolist() == [3, 3]


def test_stopped_run_resumes_to_same_rows(run, monkeypatch):
    whole, advance = run("whole"), Ablation.advance
    counted = []

    def stops(self):
        if len(counted) == 8:
            counted.append(None)
            raise RuntimeError("stopped by the test")
        counted.append(None)
        return advance(self)

    monkeypatch.setattr(Ablation, "advance", stops)
    with pytest.raises(RuntimeError, match="stopped by the test"):
        run("other")
    pd.testing.assert_frame_equal(comparable(run("other")), comparable(whole))
    assert len(counted) < 8 + 18 + 1  # it went on and did not begin from scratch


def test_command_names_the_wrong_dataset(digits, capsys, tmp_path):
    given = ["--data", str(digits), "--seed", "0", "--output", str(tmp_path / "a"), "--state", str(tmp_path / "s")]
    settings = job_file(tmp_path, json.dumps({"space": "nasbench201", "dataset": "other"}))
    assert main(["ablate", "--settings", str(settings), *given]) == 2
    assert "holds digits, but the settings want other" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_the_default_is_the_papers():
    names = [condition.name for condition in published_conditions()]
    assert len(set(names)) == len(names)
    assert {condition.score.batch_size for condition in published_conditions()} == {32, 64, 128, 256}
    assert {condition.score.images for condition in published_conditions()} == {"training", "noise"}
