"""Settings of scorings and of their ablation."""

import json
from pathlib import Path

import pytest

from parsec.errors import SettingsError
from parsec.settings.jobs import ablation_job, as_json, score_job
from parsec.settings.load import load
from parsec.settings.score import DartsScoreJob, ScoreJob

DEFAULT = load(Path(__file__).parents[3] / "config" / "config.yaml").model_dump(mode="json")
ICML = {"space": "nasbench201", "dataset": "digits", "architectures": 10}


def tree(scorings=None, /, **ablation):
    document = {**json.loads(json.dumps(DEFAULT)), "scores": scorings or {"icml": ICML}}
    return document | ({"ablation": {"scores": "icml", "conditions": {}, **ablation}} if ablation else {})


def test_a_scoring_is_a_job_of_its_space():
    network = {"cells": 5, "channels": 4}
    large = {"space": "darts", "dataset": "digits", "architectures": 3, "network": network}
    settings = load(tree({"icml": ICML, "large": large}))
    assert isinstance(score_job(settings, "icml"), ScoreJob)
    found = score_job(settings, "large")
    assert isinstance(found, DartsScoreJob)
    assert found.network.cells == 5


def test_a_key_of_another_space_is_refused():
    with pytest.raises(SettingsError, match=r"scores\.icml\.channels: unknown key"):
        load(tree({"icml": {**ICML, "channels": 8}}))


def test_conditions_change_the_score_that_they_name():
    settings = load(tree(conditions={"plain": [], "small": ["batch_size = 16", "augmentation.flip = true"]}))
    job = ablation_job(settings)
    assert job.conditions["plain"] == score_job(settings, "icml").score
    assert (job.conditions["small"].batch_size, job.conditions["small"].augmentation.flip) == (16, True)
    assert json.loads(as_json(job))["repeats"] == 20


@pytest.mark.parametrize(
    ("ablation", "complaint"),
    [
        ({"scores": "none"}, "ablation.scores: got 'none'; allowed: a name under scores"),
        ({"conditions": {"odd": ["batch = 16"]}}, "ablation.conditions.odd: there is no key 'batch'"),
        ({"conditions": {"odd": ["batch_size = 1"]}}, "batch_size"),
        ({"conditions": {"odd": ["batch_size"]}}, "allowed: a key with its whole path and its value"),
    ],
)
def test_an_ablation_that_leads_nowhere_is_one_line(ablation, complaint):
    with pytest.raises(SettingsError, match=complaint) as found:
        load(tree(**ablation))
    assert "\n" not in str(found.value)


def test_scores_of_an_unknown_data_set_are_refused():
    with pytest.raises(SettingsError, match=r"scores\.icml\.dataset: no data set 'mnist'"):
        load(tree({"icml": {**ICML, "dataset": "mnist"}}))
