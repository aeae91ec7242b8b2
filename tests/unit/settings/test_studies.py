"""Settings of scorings."""

import json
from pathlib import Path

import pytest

from parsec.errors import SettingsError
from parsec.settings.load import load
from parsec.settings.score import DartsScoreJob, ScoreJob
from parsec.settings.study_jobs import score_job

DEFAULT = load(Path(__file__).parents[3] / "config" / "config.yaml").model_dump(mode="json")
ICML = {"space": "nasbench201", "dataset": "digits", "architectures": 10}


def tree(scores):
    return {**json.loads(json.dumps(DEFAULT)), "scores": scores}


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


def test_scores_of_an_unknown_data_set_are_refused():
    with pytest.raises(SettingsError, match=r"scores\.icml\.dataset: no data set 'mnist'"):
        load(tree({"icml": {**ICML, "dataset": "mnist"}}))
