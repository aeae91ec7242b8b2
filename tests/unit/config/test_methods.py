"""Settings of the compared methods: the form of π that each needs, and the recipes of their authors as defaults."""

import json
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from parsec.config.base import Method
from parsec.config.job_parts import search_job
from parsec.config.jobs import SearchJob, as_json
from parsec.config.load import load
from parsec.config.search import RELAXED, Relaxation
from parsec.errors import SettingsError
from parsec.report.tables.accuracy import METHODS as PRINTED
from parsec.search.methods import METHODS

DEFAULT = load(Path(__file__).parents[3] / "config" / "config.yaml").model_dump(mode="json")


def test_every_method_that_can_be_named_runs_and_has_a_printed_name():
    assert set(get_args(Method)) == set(METHODS) == set(PRINTED)


@pytest.mark.parametrize("method", METHODS)
def test_a_method_takes_the_form_that_it_needs(method):
    settings = load({**DEFAULT, "methods": [method]})
    job = search_job(settings, "search", method)
    assert job.prior.factors == ("edges" if method in RELAXED else "separate")
    assert SearchJob.model_validate_json(as_json(job)) == job
    other = {**json.loads(as_json(job)), "prior": {"factors": "separate" if method in RELAXED else "edges"}}
    with pytest.raises(ValidationError, match=f"allowed with {method}"):
        SearchJob.model_validate_json(json.dumps(other))


def test_the_form_of_edges_is_not_for_the_user_to_set():
    with pytest.raises(SettingsError, match=r"prior\.factors: edges belongs to methods"):
        load({**DEFAULT, "prior": {"factors": "edges"}})


def test_a_job_that_was_written_before_these_settings_is_valid():
    document = json.loads(as_json(search_job(load(DEFAULT), "search", "parsec")))
    for section in ("relaxation", "random"):
        del document["settings"][section]
    assert SearchJob.model_validate_json(json.dumps(document)).settings.relaxation == Relaxation()


def test_defaults_are_the_official_recipes():
    recipe = Relaxation()
    assert (recipe.learning_rate, recipe.betas, recipe.weight_decay) == (3e-4, (0.5, 0.999), 1e-3)
    assert recipe.resource == "none"
