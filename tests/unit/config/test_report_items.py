"""Settings of scorings, and the tables and figures of experiments."""

import json
from pathlib import Path

import pytest

from parsec.config.job_parts import score_job
from parsec.config.load import load
from parsec.config.report_items import BenchmarkTable, Result, experiment_items
from parsec.config.zero_cost import DartsScoreJob, ScoreJob
from parsec.errors import SettingsError
from parsec.report.registry import FIGURES, TABLES

DEFAULT = load(Path(__file__).parents[3] / "config" / "config.yaml").model_dump(mode="json")
ICML = {"space": "nasbench201", "dataset": "digits", "architectures": 10}


def tree(scores):
    return {**json.loads(json.dumps(DEFAULT)), "scores": scores}


def test_scoring_job_depends_on_space():
    network = {"cells": 5, "channels": 4}
    large = {"space": "darts", "dataset": "digits", "architectures": 3, "network": network}
    settings = load(tree({"icml": ICML, "large": large}))
    assert isinstance(score_job(settings, "icml"), ScoreJob)
    job = score_job(settings, "large")
    assert isinstance(job, DartsScoreJob)
    assert job.network.cells == 5


def test_more_draws_change_no_job(tmp_path):
    (tmp_path / "table.parquet").touch()
    benchmarks = {"nasbench201": str(tmp_path / "table.parquet"), "nasbench101": None}
    once, often = (load({**tree({"icml": {**ICML, "draws": n}}), "benchmarks": benchmarks}) for n in (1, 3))
    assert score_job(once, "icml") == score_job(often, "icml") == ScoreJob(**ICML, compute=once.compute)
    search = next(item for item in experiment_items(often) if item.name == "naswot-search")
    first = often.seeds[0]
    files = [Result(f"score/icml/seed{first + draw}/scores.parquet") for draw in range(3)]
    assert search.sources == (BenchmarkTable("nasbench201"), *files)
    assert next(item for item in experiment_items(once) if item.name == "naswot-search").sources[1:] == (files[0],)


def test_key_of_another_space():
    with pytest.raises(SettingsError, match=r"scores\.icml\.channels: unknown key"):
        load(tree({"icml": {**ICML, "channels": 8}}))


def test_scores_of_unknown_data_set():
    with pytest.raises(SettingsError, match=r"scores\.icml\.dataset: no data set 'mnist'"):
        load(tree({"icml": {**ICML, "dataset": "mnist"}}))


def test_every_output_has_a_registered_writer(tmp_path):
    preset = load(Path(__file__).parents[3] / "config" / "nasbench201.yaml").model_dump(mode="json")
    for name in ("nasbench201", "nasbench101"):
        (tmp_path / name).touch()
        preset["benchmarks"][name] = str(tmp_path / name)
    items = list(experiment_items(load(preset)))
    assert {item.name for item in items if item.kind == "tables"} <= TABLES.keys()
    assert {item.name for item in items if item.kind == "figures"} <= FIGURES.keys()
    assert len({(item.kind, item.name) for item in items}) == len(items) > 15
