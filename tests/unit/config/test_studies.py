"""Settings of scorings."""

import json
from pathlib import Path

import pytest

from parsec.config import studies
from parsec.config.job_parts import score_job
from parsec.config.load import load
from parsec.config.zero_cost import DartsScoreJob, ScoreJob
from parsec.errors import SettingsError

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


def test_more_draws_add_files_and_leave_jobs_as_they_are(tmp_path):
    (tmp_path / "table.parquet").touch()
    benchmarks = {"nasbench201": str(tmp_path / "table.parquet"), "nasbench101": None}
    once, often = (load({**tree({"icml": {**ICML, "draws": n}}), "benchmarks": benchmarks}) for n in (1, 3))
    assert score_job(once, "icml") == score_job(often, "icml") == ScoreJob(**ICML, compute=once.compute)
    search = next(made for made in studies.shown(often) if made.name == "naswot-search")
    first = often.seeds[0]
    files = [f"<results>/score/icml/seed{first + draw}/scores.parquet" for draw in range(3)]
    assert search.arguments == ("benchmark:nasbench201", *files)
    assert next(made for made in studies.shown(once) if made.name == "naswot-search").arguments[1:] == (files[0],)


def test_a_key_of_another_space_is_refused():
    with pytest.raises(SettingsError, match=r"scores\.icml\.channels: unknown key"):
        load(tree({"icml": {**ICML, "channels": 8}}))


def test_scores_of_an_unknown_data_set_are_refused():
    with pytest.raises(SettingsError, match=r"scores\.icml\.dataset: no data set 'mnist'"):
        load(tree({"icml": {**ICML, "dataset": "mnist"}}))
