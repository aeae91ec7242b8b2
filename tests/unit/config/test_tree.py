"""Whatever tree is built, it survives being written and read, and refuses an unknown key at every level."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parsec.config.base import Compute, Running, as_json, fingerprint
from parsec.config.datasets import Cifar10, Digits, DigitsFolder, ImageFolder
from parsec.config.job_parts import measure_job, prepare_job, retrain_job, search_job
from parsec.config.load import load, load_job
from parsec.config.retrain import RetrainAugmentation, RetrainStage
from parsec.config.search import Estimator, Measure, PriorOptimizer, SearchOptimizer, SearchStage
from parsec.config.settings import Settings
from parsec.config.training import Augmentation, Network, Optimizer
from parsec.errors import SettingsError

PAPER = Path(__file__).parents[3] / "config" / "paper.yaml"

DEFAULTS = [Compute, Measure, Running, PriorOptimizer, Estimator, SearchOptimizer, Optimizer, Augmentation]
DEFAULTS += [RetrainAugmentation]
MADE = [Digits(source="digits"), DigitsFolder(source="digits_folder"), Cifar10(source="cifar10")]
MADE += [ImageFolder(source="image_folder", folder="data"), Network(cells=8, channels=16)]
MADE += [default() for default in DEFAULTS]

seeds = st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=4, unique=True)
rates = st.floats(1e-8, 10.0)
trees = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[\w.,:;()+%=-]{1,20}", fullmatch=True).filter(str.isprintable),
        "seeds": seeds,
        "datasets": st.dictionaries(
            st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True),
            st.sampled_from([json.loads(as_json(dataset)) for dataset in MADE[:4]]),
            min_size=1,
            max_size=3,
        ),
        "cells": st.integers(3, 100),
        "rate": rates,
        "flip": st.booleans(),
        "runs": seeds,
    }
)


def tree(parts):
    """A settings mapping from sampled values."""
    dataset = next(iter(parts["datasets"]))
    network = {"cells": parts["cells"], "channels": 16}
    stage = {"dataset": dataset, "network": network, "epochs": 3, "prior": {"learning_rate": parts["rate"]}}
    retrain = {"origins": ["search"], "runs": parts["runs"], "network": network, "epochs": 1}
    return {
        "name": parts["name"],
        "seeds": parts["seeds"],
        "datasets": parts["datasets"],
        "search": stage | {"augmentation": {"flip": parts["flip"]}},
        "retrain": {dataset: retrain},
        "measure": {"samples": [1, 4]},
    }


@pytest.mark.parametrize("made", MADE, ids=lambda made: type(made).__name__)
def test_section_survives_a_round_trip(made):
    assert load_job(as_json(made), type(made)) == made


@pytest.mark.parametrize("branch", DEFAULTS)
def test_empty_section_equals_none(branch):
    owners = (Settings, SearchStage, RetrainStage)
    fields = [field for owner in owners for field in owner.model_fields.values() if field.annotation is branch]
    assert [field.default for field in fields] == [branch()] * max(len(fields), 1)


@given(trees)
@settings(max_examples=30, deadline=None)
def test_settings_survive_a_round_trip(parts):
    loaded = load(tree(parts))
    again = load(loaded.model_dump(mode="json"))
    assert again == loaded
    assert load(loaded.model_dump()) == loaded


@given(trees)
@settings(max_examples=30, deadline=None)
def test_reloaded_job_keeps_its_fingerprint(parts):
    loaded = load(tree(parts))
    dataset = loaded.search.dataset
    jobs = (prepare_job(loaded, dataset), search_job(loaded, "search", "parsec"), measure_job(loaded, "search"))
    for job in (*jobs, retrain_job(loaded, dataset)):
        again = load_job(as_json(job), type(job))
        assert again == job
        assert fingerprint(again) == fingerprint(job)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"epochs": 7, "warmup": {"epochs": 1}, "validation_images": 512}, True),
        ({"prior": {"learning_rate": 0.5}, "weights": {"momentum": 0.5}, "estimator": {"samples": 3}}, True),
        ({"batch_size": 32}, False),
        ({"network": {"cells": 4, "channels": 6}}, False),
        ({"train_images": 1024}, False),
        ({"augmentation": {"cutout": 3}}, False),
    ],
)
def test_measurement_ignores_schedules_and_optimizers(change, same):
    document = {**COMPLETE, "search": {**COMPLETE["search"], **change}}
    assert (measure_job(load(document), "search") == measure_job(load(COMPLETE), "search")) == same


def sections(document, path=()):
    """The path of every section that has fixed keys."""
    if path not in [(name,) for name in ("datasets", "retrain", "variants", "scores", "simulations", "predictors")]:
        yield path
    for key, value in document.items():
        if isinstance(value, dict):
            yield from sections(value, (*path, key))


COMPLETE = load(PAPER).model_dump(mode="json")


@pytest.mark.parametrize("path", list(sections(COMPLETE)), ids=lambda path: ".".join(path) or "top")
def test_unknown_keys_at_every_level(path):
    document = json.loads(json.dumps(COMPLETE))
    section = document
    for step in path:
        section = section[step]
    section["qqq"] = 1
    with pytest.raises(SettingsError, match=r"^" + r"\.".join([*path, "qqq"]) + ": unknown key; allowed here: "):
        load(document)
