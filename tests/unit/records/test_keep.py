"""Keeping a finished run: what is copied, what is refused, and the index beside the records."""

import json

import pytest

from parsec.errors import UserError
from parsec.records.keep import OPEN, keep

RESULT = {
    "schema": 1,
    "kind": "search",
    "cost": {"wall_seconds": 1800.0},
    "provenance": {"machine": {"cpu": "Abacus", "cores": 2, "gpu": None}, "git": {"commit": "0" * 40, "dirty": True}},
}


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    run = folder / "search/digits/parsec/seed0"
    training = folder / "retrain/digits/search/parsec/seed0/run0"
    other = folder / "cifar10/search/cifar10/parsec/seed0"
    for place in (run, training, other, folder / "tables", folder / "state/search", folder / "data/digits/train"):
        place.mkdir(parents=True)
    for place in (run, training, other):
        (place / "result.json").write_text(json.dumps(RESULT))
    (training / "weights.safetensors").write_bytes(b"large")
    (folder / "data/digits/train/images-000.npy").write_bytes(b"large")
    (folder / "data/digits/dataset.json").write_text("{}")
    (folder / "tables/digits.md").write_text("| a table |")
    (folder / "settings.yaml").write_text("name: a run of digits\n")
    return folder


@pytest.fixture
def record(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / OPEN).write_text("what,command,needs\nthe paper's search,snakemake -n,a GPU\n")
    return tmp_path / "records" / "2026-digits"


def test_small_files_of_this_run_alone_are_kept(results, record):
    keep(results, record)
    assert sorted(str(path.relative_to(record)) for path in record.rglob("*") if path.is_file()) == [
        "data/digits/dataset.json",
        "retrain/digits/search/parsec/seed0/run0/result.json",
        "search/digits/parsec/seed0/result.json",
        "settings.yaml",
        "tables/digits.md",
    ]


def test_index_lists_runs_and_what_is_open(results, record):
    keep(results, record)
    index = (record.parent / "README.md").read_text()
    row = "| [2026-digits](2026-digits) | a run of digits | Abacus, 2 cores | 2 | 1.00 | 000000000 with changes |"
    assert row in index
    assert "| the paper's search | `snakemake -n` | a GPU |" in index


def test_records_are_never_overwritten(results, record):
    keep(results, record)
    with pytest.raises(UserError, match="exists already"):
        keep(results, record)


def test_an_unfinished_run_is_refused_and_leaves_nothing(results, record):
    (results / "settings.yaml").unlink()
    with pytest.raises(UserError, match="no finished run"):
        keep(results, record)
    assert not record.exists()
