"""Scores of the same architectures under several conditions."""

import pytest

from parsec.scores import ablation
from parsec.scores.ablation import ablate
from parsec.scores.table import ABLATION_FIELDS, read_scores
from parsec.settings.compute import Compute
from parsec.settings.score import AblationJob, Score
from parsec.settings.tree import Running

CONDITIONS = {"eight": Score(batch_size=8), "noise": Score(batch_size=8, images="noise"), "four": Score(batch_size=4)}
ALWAYS = Running(checkpoint_seconds=0.0)


def job(**changes):
    given = {"architectures": 3, "repeats": 2, "conditions": CONDITIONS, "compute": Compute(device="cpu")} | changes
    return AblationJob(space="nasbench201", dataset="digits", **given)


def run(job, data, folder, seed=0):
    ablate(job, data, seed, folder / "out", folder / "state", ALWAYS)
    return read_scores(folder / "out" / "ablation.parquet", ABLATION_FIELDS)[0]


def test_all_conditions_score_the_same_architectures_with_other_images_every_time(digits, tmp_path):
    rows = run(job(), digits, tmp_path)
    assert rows.groupby(["condition", "repeat"])["index"].apply(list).map(tuple).nunique() == 1
    assert len(rows) == 3 * 2 * 3
    scored = rows[rows["status"] == "scored"].pivot_table(
        index=["index", "repeat"], columns="condition", values="score"
    )
    assert (scored.nunique(axis=1) == scored.count(axis=1)).all()
    assert scored["eight"].nunique() == scored["eight"].count()


def test_a_condition_does_not_depend_on_which_others_there_are(digits, tmp_path):
    alone = run(job(conditions={"noise": CONDITIONS["noise"]}), digits, tmp_path / "alone")
    beside = run(job(), digits, tmp_path / "beside")
    both = [rows[rows["condition"] == "noise"]["score"].tolist() for rows in (alone, beside)]
    assert both[0] == both[1]


def test_a_stopped_ablation_goes_on_to_the_same_rows(digits, tmp_path, monkeypatch):
    whole = run(job(), digits, tmp_path / "whole")
    advance, steps = ablation._Conditions.advance, []

    def stopping(self):
        steps.append(self.step)
        if len(steps) == 4:
            raise KeyboardInterrupt
        return advance(self)

    monkeypatch.setattr(ablation._Conditions, "advance", stopping)
    with pytest.raises(KeyboardInterrupt):
        run(job(), digits, tmp_path / "stopped")
    resumed = run(job(), digits, tmp_path / "stopped")
    assert steps[4:] == [3, 4, 5]
    assert resumed.drop(columns="seconds").equals(whole.drop(columns="seconds"))
