"""Settings that NAS-Bench-201 does not know are refused before anything runs, with the key's path."""

import json

import pytest

from parsec.config.base import as_json
from parsec.config.job_parts import measure_job, retrain_job, search_job
from parsec.config.load import load, load_job
from parsec.config.retrain import RetrainJob
from parsec.config.search import MeasureJob, SearchJob
from parsec.errors import SettingsError

CONFIG = {
    "name": "a test",
    "seeds": [0],
    "space": "nasbench201",
    "datasets": {"digits": {"source": "digits"}},
    "search": {"dataset": "digits", "network": {"cells": 3, "channels": 4}, "epochs": 2},
    "retrain": {},
}
RETRAIN = {"digits": {"origins": ["search"], "runs": [0], "network": {"cells": 3, "channels": 4}, "epochs": 1}}
LARGE = {**CONFIG["search"], "init_from": "search", "network": {"stem": "imagenet", "cells": 3, "channels": 4}}


def test_tabular_search_needs_no_retraining():
    settings = load(CONFIG)
    job = search_job(settings, "search", "parsec")
    assert job.space == "nasbench201"
    assert load_job(as_json(job), SearchJob) == job


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"compute": {"executor": "grouped"}},
            "compute.executor: got grouped; allowed on nasbench201: auto or",
        ),
        ({"compute": {"executor": "fused"}}, "compute.executor: got fused; allowed on nasbench201: auto or sequential"),
        ({"transfer": LARGE}, "transfer.network.stem: got imagenet; allowed on nasbench201: cifar"),
        ({"retrain": RETRAIN}, "retrain: got digits; allowed on nasbench201: {}, because its table has the accuracies"),
        ({"space": "nasbench"}, 'space: got "nasbench"; allowed: one of darts, nasbench201'),
    ],
)
def test_settings_unknown_to_the_space(changes, expected):
    with pytest.raises(SettingsError) as refused:
        load({**CONFIG, **changes})
    assert str(refused.value).startswith(expected)
    assert "\n" not in str(refused.value)


def test_jobs_are_refused_too():
    darts = load({**CONFIG, "space": "darts", "retrain": RETRAIN, "measure": {"samples": [1, 4]}})
    made = [
        (RetrainJob, retrain_job(darts, "digits"), "space: got nasbench201; allowed: darts"),
        (MeasureJob, measure_job(darts, "search"), "space: got nasbench201; allowed: darts"),
    ]
    for model, job, expected in made:
        changed = json.dumps({**json.loads(as_json(job)), "space": "nasbench201"})
        with pytest.raises(SettingsError, match=expected):
            load_job(changed, model)
    job = json.loads(as_json(search_job(load(CONFIG), "search", "parsec")))
    job["compute"]["executor"] = "grouped"
    with pytest.raises(SettingsError, match=r"compute\.executor: got grouped"):
        load_job(json.dumps(job), SearchJob)
