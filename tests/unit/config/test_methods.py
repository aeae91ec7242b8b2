"""Settings of the compared methods: the form of π that each needs, and the recipes of their authors as defaults."""

import json
from pathlib import Path
from typing import get_args

import pytest

from parsec.config.base import RELAXED, Method, as_json
from parsec.config.job_parts import search_job
from parsec.config.load import load
from parsec.config.search import Relaxation, SearchJob
from parsec.report.methods import METHODS as PRINTED
from parsec.search.methods import METHODS

DEFAULT = load(Path(__file__).parents[3] / "config" / "config.yaml").model_dump(mode="json")


def test_every_method_runs_and_is_printed():
    assert set(get_args(Method)) == set(METHODS) <= set(PRINTED)


@pytest.mark.parametrize("method", METHODS)
def test_method_takes_the_prior_it_needs(method):
    settings = load({**DEFAULT, "methods": [method]})
    job = search_job(settings, "search", method)
    assert job.form == ("edges" if method in RELAXED else "separate")
    assert SearchJob.model_validate_json(as_json(job)) == job


def test_job_without_newer_keys_is_valid():
    document = json.loads(as_json(search_job(load(DEFAULT), "search", "parsec")))
    for section in ("relaxation", "random"):
        del document["settings"][section]
    assert SearchJob.model_validate_json(json.dumps(document)).settings.relaxation == Relaxation()


def test_defaults_are_the_official_recipes():
    recipe = Relaxation()
    assert (recipe.learning_rate, recipe.betas, recipe.weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert recipe.resource == "none"
