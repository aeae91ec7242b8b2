"""Presets are complete files that say what every value is for, and mark what the literature does not give."""

import re
from pathlib import Path

import pytest
import yaml

from parsec.config import outputs, plan
from parsec.config.docs import NOT_GIVEN
from parsec.config.load import load

CONFIG = Path(__file__).parents[3] / "config"
PRESETS = tuple(path.stem for path in CONFIG.glob("*.yaml"))
LEAF = re.compile(r"(?P<indent> *)(?P<key>[A-Za-z0-9_-]+):(?P<value> [^#]*?)?(?:  # (?P<comment>.+))?")
MARK = "not given by the paper"


def leaves(preset):
    """Dotted path → comment of every line that holds a value; path → comment."""
    branch, comments = [], {}
    for line in (CONFIG / f"{preset}.yaml").read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        match = LEAF.fullmatch(line)
        assert match, f"{preset}.yaml: not `key: value  # comment`: {line!r}"
        branch = [*branch[: len(match["indent"]) // 2], match["key"]]
        if match["value"]:
            comments[".".join(branch)] = match["comment"] or ""
    return comments


def keys(document, path=""):
    for key, value in document.items():
        yield f"{path}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{path}{key}.")


def without_branch(path):
    """The key below the stage or data set that it belongs to."""
    return re.sub(r"^(search|finetune|transfer|retrain\.[^.]+|datasets\.[^.]+)\.", "", path)


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_write_every_key(preset):
    path = CONFIG / f"{preset}.yaml"
    written = set(keys(yaml.safe_load(path.read_text(encoding="utf-8"))))
    assert written == set(keys(load(path).model_dump(mode="json")))


@pytest.mark.parametrize("preset", PRESETS)
def test_every_value_has_a_comment(preset):
    assert [path for path, comment in leaves(preset).items() if not comment] == []


@pytest.mark.parametrize("preset", PRESETS)
def test_values_not_given_have_reasons(preset):
    marked = {path: comment for path, comment in leaves(preset).items() if MARK in comment}
    assert [path for path, comment in marked.items() if not re.search(MARK + r"( \([^)]*\))?: \w.{4,}", comment)] == []


def test_reference_lists_what_paper_marks():
    marked = {without_branch(path) for path, comment in leaves("paper").items() if MARK in comment}
    listed = {key for group, _ in NOT_GIVEN for key in group}
    covers = {key: [m for m in marked if m == key or m.startswith(f"{key}.")] for key in listed}
    assert [key for key, covered in covers.items() if not covered] == []
    assert sorted(marked - {m for covered in covers.values() for m in covered}) == []


def test_presets_have_own_result_folders():
    folders = [load(CONFIG / f"{preset}.yaml").results for preset in PRESETS]
    assert len(set(folders)) == len(PRESETS)


def test_default_runs_every_stage_on_digits():
    settings = load(CONFIG / "config.yaml")
    assert {dataset.source for dataset in settings.datasets.values()} == {"digits", "digits_folder"}
    assert {run.stage for run in plan.searches(settings)} == set(outputs.SEARCH_STAGES)
    assert {run.origin for run in plan.retrains(settings)} == {*outputs.SEARCH_STAGES, outputs.PUBLISHED}
    assert plan.parent(settings, outputs.Search("transfer", "digits-folder", "parsec", 1)) == outputs.Search(
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
