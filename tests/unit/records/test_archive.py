"""Keeping a finished run: what is copied, what is refused, and the index beside the records."""

import json
from pathlib import Path

import pytest
import yaml
from synthetic import search_result

from parsec.config import outputs
from parsec.config.load import load
from parsec.errors import UserError
from parsec.records.archive import OPEN, keep, keep_benchmark

PRESET = Path(__file__).resolve().parents[3] / "config/config.yaml"

RESULT = search_result()


@pytest.fixture
def results(tmp_path):
    """A finished run of one search and one training, beside results of other settings."""
    folder = tmp_path / "results"
    settings = load(PRESET).model_dump(mode="json")
    settings |= {"name": "a run of digits", "seeds": [0], "finetune": None, "transfer": None}
    settings["retrain"] = {
        "digits": settings["retrain"]["digits"] | {"origins": ["search"], "published": [], "runs": [0]}
    }
    runs = ["search/digits/parsec/seed0", "retrain/digits/search/parsec/seed0/run0"]
    others = ["search/digits/parsec/seed7", "cifar10/search/cifar10/parsec/seed0"]
    for place in runs + others:
        (folder / place).mkdir(parents=True)
        for name in {*outputs.SEARCH_FILES, *outputs.RETRAIN_FILES}:
            (folder / place / name).write_text(json.dumps(RESULT))
    figures = [
        f"figures/{name}" for name in ("pi-search-parsec-seed0.svg", "cells-search-parsec-seed0.svg", "cost.csv")
    ]
    for file in ("tables/digits.md", "data/digits/dataset.json", "data/digits/train/images.npy", *figures):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text("{}")
    for place in ("search/digits/parsec/seed0", "search/digits/parsec/seed7"):
        (folder / "logs" / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / "logs" / f"{place}.log").write_text("epoch 1/1")
    (folder / "measure/search").mkdir(parents=True)
    (folder / "measure/search/executor.json").write_text("{}")
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    return folder


@pytest.fixture
def record(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / OPEN).write_text("what,command,needs\nthe paper's search,snakemake -n,a GPU\n")
    return tmp_path / "records" / "2026-digits"


def test_small_files_of_this_run_alone_are_kept(results, record):
    keep(results, record)
    kept = {str(path.relative_to(record)) for path in record.rglob("*") if path.is_file()}
    searched = {f"search/digits/parsec/seed0/{name}" for name in outputs.SEARCH_FILES}
    trained = {f"retrain/digits/search/parsec/seed0/run0/{name}" for name in ("result.json", "metrics.jsonl")}
    pages = {"settings.yaml", "tables/digits.md", "data/digits/dataset.json", "measure/search/executor.json"}
    logs = {"logs/search/digits/parsec/seed0.log"}
    # The course of π over time can be drawn again.
    figures = {"figures/cells-search-parsec-seed0.svg", "figures/cost.csv"}
    assert kept == searched | trained | pages | figures | logs


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


@pytest.fixture
def benchmark(tmp_path):
    """What a benchmark wrote."""
    target = {"contender": "stacked", "quantity": "speedup", "found": 3.21, "target": 1.3, "reached": True}
    made = RESULT["provenance"] | {"threads": 1}
    document = {"kind": "bench", "contests": [{"targets": [target]}], "provenance": made}
    (tmp_path / "search.json").write_text(json.dumps(document))
    return tmp_path / "search.json"


def test_a_benchmark_is_kept_and_its_targets_stand_in_the_index(benchmark, record):
    kept = record.parent / "benchmarks" / "2026-search.json"
    keep_benchmark(benchmark, kept)
    assert kept.read_bytes() == benchmark.read_bytes()
    index = (record.parent / "README.md").read_text()
    assert "[2026-search](benchmarks/2026-search.json) | Abacus, 2 cores | 1 |" in index
    assert "stacked: speedup 3.21 for 1.3, reached" in index
    assert "the paper's search" in index
    with pytest.raises(UserError, match="exists already"):
        keep_benchmark(benchmark, kept)


@pytest.mark.parametrize(
    ("content", "place", "complaint"),
    [
        ('{"kind": "search"}', "benchmarks/a.json", "not a file of `bench --json`"),
        ("[]", "benchmarks/a.json", "not a file of `bench --json`"),
        ("no JSON", "benchmarks/a.json", "not a file of `bench --json`"),
        ('{"kind": "bench"}', "a.json", "benchmarks are kept as results/records/benchmarks/NAME.json"),
        ('{"kind": "bench"}', "benchmarks/a", "benchmarks are kept as"),
    ],
)
def test_what_is_no_benchmark_is_refused(tmp_path, record, content, place, complaint):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        keep_benchmark(tmp_path / "x.json", record.parent / place)
