"""Paths mean the same in every key, and genotypes lie in files that are looked at before anything is planned."""

import copy
import json

import pytest

from parsec.config import plan
from parsec.config.base import PUBLISHED, as_json, expanded, fingerprint
from parsec.config.job_parts import image_source, prepare_job, retrain_job, with_image_source
from parsec.config.load import load
from parsec.errors import DatasetError, GenotypeError, SettingsError
from parsec.space.published import DARTS_V1

NETWORK = {"cells": 3, "channels": 4}
SMALL = {
    "name": "a test",
    "seeds": [0],
    "datasets": {"digits": {"source": "digits"}},
    "search": {"dataset": "digits", "network": NETWORK, "epochs": 2},
    "retrain": {"digits": {"origins": ["search"], "runs": [0, 1], "network": NETWORK, "epochs": 1}},
}
PATHS = {
    "results": "results",
    "datasets.cifar.folder": "datasets.cifar.folder",
    "datasets.photos.folder": "datasets.photos.folder",
    "retrain.digits.published: mine": "retrain.digits.published",
}
"""Every key with a path that a run cannot do without, as messages name it."""


def tree(path=None, key="results", **changes):
    """`SMALL` with data sets and a path at a key of `PATHS`."""
    config = {**copy.deepcopy(SMALL), **changes}
    config["datasets"] |= {"cifar": {"source": "cifar10"}, "photos": {"source": "image_folder", "folder": "photos"}}
    *branches, last = PATHS[key].split(".")
    section = config
    for branch in branches:
        section = section[branch]
    if path is not None:
        section[last] = [{"name": "mine", "file": path}] if last == "published" else path
    return config


def given(*published):
    config = tree()
    config["retrain"]["digits"]["published"] = list(published)
    return config


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """A file `mine.json` in the working directory, at home and where $PLACE says."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PLACE", str(tmp_path))
    (tmp_path / "mine.json").write_text(json.dumps(DARTS_V1.as_dict()))
    return tmp_path / "mine.json"


@pytest.mark.parametrize("path", ["~/mine.json", "$PLACE/mine.json", "${PLACE}/mine.json", "$PLACE//./mine.json"])
def test_home_and_variables_are_filled_in(mine, path):
    assert expanded(load(tree(path)).results, "results") == str(mine)


def test_shell_code_is_never_executed(mine):
    assert expanded("it's $(touch x) `y` $1 $", "results") == "it's $(touch x) `y` $1 $"


@pytest.mark.parametrize("key", PATHS)
def test_every_path_is_filled_in_alike(mine, key, monkeypatch):
    settings = load(tree("$PLACE/mine.json", key))
    used = plan.on_this_machine(settings)
    assert used.results == (str(mine) if key == "results" else "results")
    assert plan.genotype_files(used, "digits") == ({"mine": str(mine)} if "published" in key else {})
    monkeypatch.delenv("PLACE")
    with pytest.raises(
        SettingsError, match=f"^{key}: the variable PLACE in .* is not set; set it, or write the path out"
    ):
        plan.on_this_machine(settings)


@pytest.mark.parametrize("key", PATHS)
@pytest.mark.parametrize("path", ["a{b}", "<results>", "-rf", "a\nb", ""])
def test_patterns_and_options_are_no_paths(key, path):
    with pytest.raises(SettingsError, match=PATHS[key].replace("published", r"published\[0\]\.file")):
        load(tree(path, key))


@pytest.mark.parametrize(
    ("value", "message"),
    [("{x}", "results: .* stands for a path that cannot be used: got .*{x}"), ("", "results: the variable PLACE")],
)
def test_variables_hold_plain_paths_only(mine, monkeypatch, value, message):
    monkeypatch.setenv("PLACE", value)
    with pytest.raises(SettingsError, match=message):
        plan.on_this_machine(load(tree("$PLACE/x")))


def test_nobodys_home_is_refused():
    with pytest.raises(SettingsError, match=r"results: the ~nobody-of-this-name in .* is no user's home folder"):
        plan.on_this_machine(load(tree("~nobody-of-this-name/x")))


@pytest.mark.parametrize("source", ["cifar10", "image_folder"])
def test_data_folders_are_expanded_when_read(mine, source, monkeypatch):
    from parsec.data.prepare import open_source

    data = load({**SMALL, "datasets": {"digits": {"source": source, "folder": "$PLACE/photos"}}}).datasets["digits"]
    data = data.model_copy(update={"order": ("folder",)}) if source == "cifar10" else data
    with pytest.raises(DatasetError, match=f"no folder {mine.parent}/photos"):
        open_source(data, mine.parent / "out")
    monkeypatch.delenv("PLACE")
    with pytest.raises(SettingsError, match=r"dataset\.folder: the variable PLACE in .* is not set"):
        open_source(data, mine.parent / "out")


def test_records_keep_paths_as_written(mine, monkeypatch):
    settings = load(tree("~/photos", "datasets.photos.folder"))
    job = with_image_source(prepare_job(settings, "photos"), image_source(settings, "photos"))
    assert job.dataset.folder == "~/photos"
    before = fingerprint(job)
    monkeypatch.setenv("HOME", "/elsewhere")
    assert fingerprint(prepare_job(settings, "photos")) == before


def test_benchmark_without_variable_is_left_out(mine, monkeypatch):
    settings = load(tree(benchmarks={"nasbench201": "$PLACE/mine.json", "nasbench101": "~/none.parquet"}))
    assert plan.benchmark_table(settings, "nasbench201") == str(mine)
    assert [f"there is no {mine.parent}/none.parquet" in line for line in plan.left_out(settings)] == [True]
    monkeypatch.delenv("PLACE")
    assert plan.benchmark_table(settings, "nasbench201") is None
    line = (
        "what needs nasbench201 is left out: benchmarks.nasbench201: the variable PLACE in $PLACE/mine.json is not set"
    )
    assert next(plan.left_out(settings)).startswith(line)


def test_genotypes_are_planned_under_their_names(mine):
    settings = plan.on_this_machine(load(given("DARTS_V2", "mine.json", {"name": "other", "file": "~/mine.json"})))
    planned = [(run.method, run.run) for run in plan.retrains(settings) if run.origin == PUBLISHED]
    assert planned == [(name, run) for name in ("DARTS_V2", "mine", "other") for run in (0, 1)]
    assert plan.genotype_files(settings, "digits") == {"mine": "mine.json", "other": str(mine)}
    assert load(json.loads(as_json(settings))) == settings
    assert as_json(retrain_job(settings, "digits")) == as_json(retrain_job(load(SMALL), "digits"))


@pytest.mark.parametrize(
    ("published", "message"),
    [
        (["DARTS_V3"], r'published\[0\]: got "DARTS_V3"; allowed: one of DARTS_V1, .*, or a file with its ending'),
        ([{"name": "DARTS_V3"}], r"published\[0\]\.name: got 'DARTS_V3'; allowed without a file: DARTS_V1, "),
        ([{"name": "a b", "file": "x.json"}], r"published\[0\]\.name: got \"a b\"; allowed: a name of letters"),
        ([{"file": "x.json"}], r"published\[0\]\.name: missing"),
        (["my genotype.json"], r'published\[0\]: "my genotype" of the file .* cannot be a name; write {name: '),
        ([3], r"published\[0\]: got 3; allowed: a section with the keys name, file or one of DARTS_V1, .* or a path"),
        (["DARTS_V2", "DARTS_V2"], "published: 'DARTS_V2' is listed twice"),
        (["a/x.json", "b/x.json"], "two genotypes are called x; write {name: "),
        (["parsec.json"], "parsec is a method or variant; choose another name"),
        (["a/DARTS_V1.json"], "a published genotype has this name; choose another"),
        ([{"name": "x", "file": "DARTS_V1"}], "a published genotype has this name; choose another"),
    ],
)
def test_genotype_names_are_plain_and_unique(published, message):
    with pytest.raises(SettingsError, match=message) as refused:
        load(given(*published))
    assert str(refused.value).startswith("retrain.digits.published")
    assert "\n" not in str(refused.value)


def test_genotype_name_means_one_file():
    config = given("a/x.json")
    config["retrain"]["cifar"] = {**config["retrain"]["digits"], "published": ["b/x.json"]}
    with pytest.raises(SettingsError, match=r"retrain\.cifar\.published: two genotypes are called x"):
        load(config)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "neither a published genotype .* nor a readable file"),
        ("{", "the genotype is not JSON"),
        ("x", "printed"),
    ],
)
def test_file_without_genotype_is_refused(mine, content, message):
    (mine.parent / "other.json").write_text(content) if content else None
    with pytest.raises(GenotypeError, match=rf"^retrain\.digits\.published: other: other\.json: .*{message}"):
        plan.on_this_machine(load(given("other.json")))
