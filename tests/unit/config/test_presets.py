"""Presets are short, hold only what they change, and run what they name."""

import json
from functools import reduce
from operator import getitem
from pathlib import Path

import pytest

from parsec.config import plan
from parsec.config.base import PUBLISHED, SEARCH_STAGES, Search
from parsec.config.docs import GIVEN, NOT_GIVEN
from parsec.config.load import load, read_mapping
from parsec.errors import SettingsError

CONFIG = Path(__file__).parents[3] / "config"
PRESETS = tuple(path.stem for path in CONFIG.glob("*.yaml"))


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_fit_on_a_screen(preset):
    assert len((CONFIG / f"{preset}.yaml").read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_write_no_default(preset):
    written = read_mapping(CONFIG / f"{preset}.yaml")
    settings = load(written)
    for path, value in leaves(written):
        without = json.loads(json.dumps(written))
        *parents, last = path
        branch = reduce(getitem, parents, without)
        del branch[last]
        try:
            assert load(without) != settings, f"{preset}.yaml: {'.'.join(path)}: {value} is the default"
        except SettingsError:
            continue


def leaves(document, path=()):
    for key, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, (*path, key))
        else:
            yield (*path, key), value


def test_reference_names_keys_that_exist():
    listed = [key for keys, _ in NOT_GIVEN for key in keys] + [key for key, _ in GIVEN]
    known = {".".join(path) for path, _ in leaves(load(CONFIG / "paper.yaml").model_dump(mode="json"))}
    assert [key for key in listed if not any(f".{key}." in f".{path}." for path in known)] == []


def test_presets_have_own_result_folders():
    folders = [load(CONFIG / f"{preset}.yaml").results for preset in PRESETS]
    assert len(set(folders)) == len(PRESETS)


def test_default_runs_every_stage_on_digits():
    settings = load(CONFIG / "config.yaml")
    assert {dataset.source for dataset in settings.datasets.values()} == {"digits", "digits_folder"}
    assert {run.stage for run in plan.searches(settings)} == set(SEARCH_STAGES)
    assert settings.retrain["digits"].compare_with is None
    assert {run.origin for run in plan.retrains(settings)} == {*SEARCH_STAGES, PUBLISHED}
    assert plan.parent(settings, Search("transfer", "digits-folder", "parsec", 1)) == Search(
        "finetune", "digits", "parsec", 1
    )


def test_paper_preset_has_full_scale():
    settings = load(CONFIG / "paper.yaml")
    sizes = [(s.network.cells, s.network.channels) for s in (settings.search, settings.finetune, settings.transfer)]
    assert sizes == [(8, 16), (20, 36), (14, 48)]
    assert {s.estimator.samples for s in (settings.search, settings.finetune, settings.transfer)} == {16}
    assert {name: stage.epochs for name, stage in settings.retrain.items()} == {"cifar10": 600, "imagenet": 250}
    assert len(settings.seeds) >= 2
    assert len(list(plan.searches(settings))) == 3 * len(settings.seeds)


def test_runs_have_folders_of_their_own():
    for preset in PRESETS:
        settings = load(CONFIG / f"{preset}.yaml")
        folders = [run.folder for run in [*plan.searches(settings), *plan.retrains(settings)]]
        assert len(set(folders)) == len(folders)
