"""Settings are read strictly; every mistake is one line with the key's path, what was given and what is allowed."""

import copy
import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from parsec.config import plan
from parsec.config.base import as_json, fingerprint
from parsec.config.job_parts import image_source, prepare_job, retrain_job, search_job, with_image_source
from parsec.config.load import load, load_job
from parsec.config.retrain import RetrainJob
from parsec.config.search import SearchJob
from parsec.errors import SettingsError

SMALL = {
    "name": "a test",
    "seeds": [0],
    "datasets": {"digits": {"source": "digits"}},
    "search": {"dataset": "digits", "network": {"cells": 3, "channels": 4}, "epochs": 2},
    "retrain": {"digits": {"origins": ["search"], "runs": [0], "network": {"cells": 3, "channels": 4}, "epochs": 1}},
}

BOMB = "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise("abcdefghi"))
"""Ten aliases of ten aliases and so on: a hundred million values in a few lines."""
CIFAR = {"source": "cifar10", "order": ["folder"], "split_seed": 3}


def changed(**changes):
    """`SMALL` with values at `a__b__c` paths replaced."""
    config = copy.deepcopy(SMALL)
    for path, value in changes.items():
        *branches, key = path.split("__")
        section = config
        for branch in branches:
            section = section.setdefault(branch, {})
        section[key] = value
    return config


def complaint(config):
    with pytest.raises(SettingsError) as caught:
        load(config)
    return str(caught.value)


def test_defaults_complete_a_small_tree():
    settings = load(SMALL)
    assert settings.search.estimator.samples == 16
    assert settings.seeds == (0,)
    assert settings.finetune is None


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"search__epoch": 3}, "search.epoch: unknown key; did you mean search.epochs?"),
        ({"compute__devise": "cpu"}, "compute.devise: unknown key; did you mean compute.device?"),
        ({"sede": [1]}, "sede: unknown key; did you mean seeds?"),
        ({"search__start": "uniform"}, "search.start: this key is now init_from"),
        ({"datasets__digits__split_sead": 1}, "did you mean datasets.digits.split_seed?"),
        ({"datasets__digits__image_size": 64}, "datasets.digits.image_size: unknown key; allowed here: "),
        ({"retrain__digits__optimizer": {"momentun": 0.9}}, "did you mean retrain.digits.optimizer.momentum?"),
    ],
)
def test_unknown_key_suggests_the_nearest(changes, expected):
    message = complaint(changed(**changes))
    assert expected in message
    assert "\n" not in message


def test_mistyped_required_key_is_one_problem():
    config = changed(search__epoch=3)
    del config["search"]["epochs"]
    assert complaint(config) == "search.epoch: unknown key; did you mean search.epochs?"


def test_suggestions_come_from_the_chosen_source():
    config = changed(datasets__written={"source": "digits_folder", "image_sise": 64})
    assert "did you mean datasets.written.image_size?" in complaint(config)
    config = changed(datasets__digits={"source": "digits", "image_sise": 64})
    assert "did you mean" not in complaint(config)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"search__epochs": "ten"}, 'search.epochs: got "ten"; allowed: a whole number ≥ 1'),
        ({"search__epochs": 0}, "search.epochs: got 0; allowed: a whole number ≥ 1"),
        ({"search__epochs": True}, "search.epochs: got true; allowed: a whole number ≥ 1"),
        ({"search__epochs": 2.0}, "search.epochs: got 2.0; allowed: a whole number ≥ 1"),
        ({"search__augmentation": {"flip": 1}}, "search.augmentation.flip: got 1; allowed: true or false"),
        ({"name": 5}, "name: got 5; allowed: some text of at most 120 characters"),
        ({"seeds": [0, True]}, "seeds[1]: got true; allowed: a whole number ≥ 0 and < 2147483648"),
        ({"seeds": 3}, "seeds: got 3; allowed: a list of at least one value without repeats"),
        ({"seeds": []}, "seeds: got []; allowed: a list of at least one value"),
        ({"seeds": [4, 4]}, "seeds: 4 is listed twice"),
        ({"search": None}, "search: got nothing (null); allowed: a section with the keys dataset, "),
        ({"search__network__channels": 5}, "channels: got 5; allowed: a whole number ≥ 2, a multiple of 2"),
        ({"search__network__cells": 2}, "search.network.cells: got 2; allowed on darts: 3 or more (two reduce)"),
        ({"search__prior": {"betas": [0.5, 1.5]}}, "search.prior.betas[1]: got 1.5; allowed: a number ≥ 0 and < 1"),
        ({"compute__device": "gpu"}, 'compute.device: got "gpu"; allowed: one of auto, cpu, cuda'),
        ({"datasets__digits__source": "digit"}, 'got "digit"; allowed: one of cifar10, cifar100, digits'),
        ({"datasets__other": {}}, "datasets.other.source: missing; write one of cifar10, cifar100, digits"),
        ({"datasets__digits__validation_fraction": 1.0}, "allowed: a number > 0 and < 1"),
        ({"retrain__digits__published": ["DARTS_V3"]}, 'published[0]: got "DARTS_V3"; allowed: one of DARTS_V1'),
    ],
)
def test_wrong_value_names_what_is_allowed(changes, expected):
    message = complaint(changed(**changes))
    assert message.startswith(expected) or expected in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"search__dataset": "digit"}, "search.dataset: no data set 'digit' under datasets; there are digits"),
        ({"search__init_from": "finetune"}, "search.init_from: the first stage starts from uniform"),
        ({"retrain__digits__origins": ["finetune"]}, "retrain.digits.origins: the stage finetune is left out (null)"),
        ({"search__network__cells": 0}, "search.network.cells: got 0; allowed: a whole number ≥ 1 and ≤ 100"),
        ({"search__warmup__epochs": 2}, "search.warmup.epochs: got 2; allowed: less than epochs (2)"),
        ({"search__train_images": 63}, "search.train_images: got 63; allowed: at least batch_size (64)"),
        ({"retrain__digits__train_images": 9}, "retrain.digits.train_images: got 9; allowed: at least batch_size (96)"),
        (
            {"search__weights": {"final_learning_rate": 0.1}},
            "search.weights.final_learning_rate: got 0.1; allowed: at most learning_rate (0.025)",
        ),
        (
            {"simulations__cells": {"search": {"space": "nasbench101", "dataset": "in16", "methods": ["random"]}}},
            "simulations.cells.search.dataset: got 'in16'; nasbench101 has only cifar10",
        ),
    ],
)
def test_contradicting_values_are_refused(changes, expected):
    assert complaint(changed(**changes)) == expected


def test_transfer_needs_its_parent_stage():
    transfer = SMALL["search"] | {"init_from": "finetune"}
    assert "transfer.init_from: finetune is left out (null)" in complaint(changed(transfer=transfer))


def test_missing_key_is_named():
    config = copy.deepcopy(SMALL)
    del config["datasets"]
    assert complaint(config).startswith("datasets: missing; write a section of named sections")


def test_message_shows_three_problems():
    config = changed(sede=[1], name=5, results=6, search__epochs=0, search__batch_size=1)
    message = complaint(config)
    assert "\n" not in message
    assert message.startswith("sede: unknown key; did you mean seeds?; ")
    assert [key in message for key in ("name: got 5", "results: got 6", "epochs", "batch_size")].count(True) == 2
    assert message.endswith(" (and 2 more)")


def test_name_unfit_for_a_path():
    message = complaint(changed(datasets={"../up": {"source": "digits"}, "digits": {"source": "digits"}}))
    assert message.startswith("datasets.../up: '../up' cannot be a name; use at most 64 letters, digits, _ and -")


def test_power_without_a_point_is_explained(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text("search: {weights: {learning_rate: 3e-4, weight_decay: 1.5e4}}\n")
    message = complaint(path)
    assert "search.weights.learning_rate: got the text '3e-4'; " in message
    assert "write 3.0e-4" in message
    assert "write 1.5e+4" in message


def test_quoted_numbers_are_refused():
    message = complaint(changed(seeds=["0", 1]))
    assert message.startswith("seeds[0]: got the text '0'; write 0 without quotes")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: 2026-01-01", "name: YAML reads '2026-01-01' as a date; put it in quotes if it is text"),
        ("running: {progress_seconds: .inf}", "running.progress_seconds: got inf; allowed: finite numbers"),
        ("datasets: {1: {source: digits}}", "datasets: the key 1 is not text; put it in quotes"),
        ("- a", 'the settings are ["a"]; they must be a mapping of keys to values'),
        ("", "the settings are nothing (null); they must be a mapping of keys to values"),
        ("just words", 'the settings are "just words"; they must be a mapping of keys to values'),
        ("a: [1", "run.yaml: neither YAML nor JSON: line 1, column 6: "),
        (
            "name: 2026-13-01",
            'run.yaml: line 1, column 7: "2026-13-01" is no timestamp; put it in quotes if it is text',
        ),
        (f"seeds: [{'1' * 5000}]", "is no int; put it in quotes"),
        (json.dumps({"seeds": [0]}).replace("0", "1" * 5000), "is no int; put it in quotes"),
        ("name: !!bool maybe", 'line 1, column 7: "maybe" is no bool'),
        ("a: &a {x: 1}\nb:\n  <<: *a\n  d: 1\n  d: 2", "run.yaml: line 5, column 3: the key 'd' stands twice"),
    ],
)
def test_file_without_settings_is_one_line(tmp_path, text, expected):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    message = complaint(path)
    assert expected in message
    assert "\n" not in message


def test_missing_or_unreadable_file_is_named(tmp_path):
    assert complaint(tmp_path / "none.yaml").startswith(f"{tmp_path / 'none.yaml'}: no such settings file")
    assert complaint(tmp_path).startswith(f"{tmp_path}: the settings cannot be read: ")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert complaint(tmp_path / "binary").endswith("not UTF-8 text")


def test_job_loads_from_text_and_file(tmp_path):
    job = search_job(load(changed(search__weights={"weight_decay": 1e-5})), "search", "parsec")
    assert load_job(as_json(job), SearchJob) == job
    path = tmp_path / "job.json"
    path.write_text(as_json(job))
    assert load_job(path, SearchJob) == job
    assert load_job(str(path), SearchJob) == job


def test_job_of_wrong_kind_is_refused():
    text = as_json(search_job(load(SMALL), "search", "parsec"))
    with pytest.raises(SettingsError, match="stage: unknown key"):
        load_job(text, RetrainJob)
    with pytest.raises(SettingsError, match="the settings given as text: neither YAML nor JSON"):
        load_job('{"dataset": "digits",,', RetrainJob)


def test_new_seed_changes_no_job():
    before, after = load(SMALL), load(changed(seeds=[0, 1], retrain__digits__runs=[0, 1]))
    assert fingerprint(retrain_job(before, "digits")) == fingerprint(retrain_job(after, "digits"))
    assert search_job(before, "search", "parsec") == search_job(after, "search", "parsec")


def test_running_keys_change_no_job():
    before, after = load(SMALL), load(changed(running={"checkpoint_seconds": 1.0}))
    assert search_job(before, "search", "parsec") == search_job(after, "search", "parsec")


def test_relative_path_starts_at_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text('{"name": 1}')
    assert "name: got 1" in complaint(Path("run.json"))


def test_image_location_leaves_the_job_unchanged():
    here, there = (load(changed(datasets__digits=CIFAR | {"folder": name})) for name in ("here", "there"))
    job = prepare_job(here, "digits")
    assert job == prepare_job(there, "digits")
    assert with_image_source(job, image_source(there, "digits")).dataset == there.datasets["digits"]


def test_image_folder_belongs_to_the_job():
    settings = load(changed(datasets__digits={"source": "image_folder", "folder": "images"}))
    assert prepare_job(settings, "digits").dataset.folder == "images"
    assert image_source(settings, "digits") == {}


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("name: a\nseeds: [0]\nname: b\n", "settings.yaml: line 3, column 1: the key 'name' stands twice"),
        ("search: {epochs: 1, epochs: 2}\n", "line 1, column 21: the key 'epochs' stands twice"),
        ('{"name": "a", "name": "b"}', "settings.yaml: the key 'name' stands twice"),
        ('{"x": ' * 5000, "nested too deeply"),
        ("x: " + "[" * 5000, "nested too deeply"),
        ("a: &a [*a]\n", "inf values, aliases written out"),
        ("a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n" + BOMB, "values, aliases written out; allowed: 100,000"),
    ],
)
def test_a_treacherous_file_is_one_line(tmp_path, text, line):
    (tmp_path / "settings.yaml").write_text(text)
    assert line in complaint(tmp_path / "settings.yaml")


def test_aliases_of_sections_are_allowed(tmp_path):
    text = yaml.safe_dump(SMALL | {"finetune": None}).replace("finetune: null", "finetune: *s")
    text = text.replace("search:\n", "search: &s\n")
    head, _, tail = text.partition("finetune: *s\n")
    (tmp_path / "settings.yaml").write_text(head + tail + "finetune: *s\n")
    finetune = load(SMALL).search.model_copy(update={"init_from": "search"})
    assert load(tmp_path / "settings.yaml").finetune == finetune


def test_later_stages_inherit_from_search():
    later = {"finetune": {"network": {"cells": 5}}, "transfer": {"epochs": 1, "weights": {"momentum": 0.5}}}
    settings = load(changed(search__weights__learning_rate=0.5, search__warmup__epochs=0) | later)
    assert settings.finetune.network.model_dump() == {"stem": "cifar", "cells": 5, "channels": 4}
    assert settings.finetune.weights == settings.search.weights
    assert (settings.transfer.epochs, settings.transfer.weights.learning_rate) == (1, 0.5)
    assert (settings.finetune.init_from, settings.transfer.init_from) == ("search", "finetune")
    assert load(SMALL | {"transfer": {}}).transfer.init_from == "search"
    assert load(settings.model_dump(mode="json")) == settings


def test_inherited_mistake_is_named_once():
    assert (
        complaint(changed(search__epochs=0) | {"finetune": {}}) == "search.epochs: got 0; allowed: a whole number ≥ 1"
    )


def test_null_takes_a_named_section_away():
    other = {"datasets": SMALL["datasets"] | {"gone": None}, "retrain": {"digits": None}}
    settings = load(SMALL | other)
    assert (list(settings.datasets), settings.retrain) == (["digits"], {})


@pytest.mark.parametrize(
    "name", ["x**\n\n.. include:: /etc/passwd", "<script>alert(1)</script>", " a", "`x`", "a\x1b[0m"]
)
def test_a_name_is_one_plain_line(name):
    assert complaint(SMALL | {"name": name}).startswith("name: got")


@pytest.mark.parametrize(
    ("results", "folder"), [("r", "r"), ("r", "r/images"), ("images/r", "images"), ("r", "./x/../r")]
)
def test_results_among_images_are_refused(tmp_path, monkeypatch, results, folder):
    monkeypatch.chdir(tmp_path)
    mine = {"mine": {"source": "image_folder", "folder": folder}}
    config = SMALL | {"results": results, "datasets": SMALL["datasets"] | mine}
    with pytest.raises(SettingsError, match=r"which overlaps datasets\.mine\.folder"):
        plan.on_this_machine(load(config))
    plan.on_this_machine(load(config | {"results": "elsewhere"}))
