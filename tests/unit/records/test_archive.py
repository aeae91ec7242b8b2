"""Keeping a finished run: what a record holds, what is refused, and the pages next to the records."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml
from synthetic import fit_result, retrain_result, search_result

from parsec.config.load import load
from parsec.errors import UserError
from parsec.records import documents
from parsec.records.archive import OPEN, keep, keep_benchmark, renew
from parsec.records.documents import RESULTS_FILE, Renames, read_lines
from parsec.runtime.files import partial_path
from parsec.runtime.outputs import MARKER

ROOT = Path(__file__).resolve().parents[3]
RUNS = {
    "search/digits/parsec/seed0": search_result(),
    "retrain/digits/search/parsec/seed0/run0": retrain_result(),
}
BENCH = json.dumps({"kind": "bench", "comparisons": [], "provenance": search_result()["provenance"]})


@pytest.fixture
def results(tmp_path):
    """A finished run of one search and one training, next to results of other settings."""
    folder = tmp_path / "results"
    settings = load(ROOT / "config/config.yaml").model_dump(mode="json")
    settings |= {"name": "a run of digits", "seeds": [0], "methods": ["parsec"], "variants": {}}
    settings |= {"finetune": None, "transfer": None}
    settings["retrain"] = {
        "digits": settings["retrain"]["digits"] | {"origins": ["search"], "published": [], "runs": [0]}
    }
    others = {"search/digits/parsec/seed7": search_result(seed=7), "cifar10/search/x/parsec/seed0": search_result()}
    contents = {f"{run}/result.json": json.dumps(result) for run, result in (RUNS | others).items()}
    contents |= {f"{run}/metrics.jsonl": "{}" for run in RUNS} | {"fit/seed0/fit.json": json.dumps(fit_result())}
    contents |= {
        "tables/digits.md": "| a |",
        "tables/digits.csv": "a\n1\n",
        "tables/digits.tex": "a",
        "tables/digits.classes.csv": "a\n1\n",
        "checklist.md": "# C",
    }
    contents |= {f"figures/{name}": "<svg/>" for name in ("cost.svg", "cost.csv", "search/parsec/batch0/cells-0.svg")}
    contents |= {"logs/search/digits/parsec/seed0.log": "epoch 1/1", "settings.yaml": yaml.safe_dump(settings)}
    for name, text in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.fixture
def record(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / OPEN).write_text("what,command,needs\nthe paper's search,snakemake -n,a GPU\n")
    return tmp_path / "records" / "2026-digits"


def test_few_files_are_kept(results, record):
    keep(results, record, ["cost.svg", "search/parsec/batch0/cells-0.svg"])
    kept = {str(path.relative_to(record)) for path in record.rglob("*") if path.is_file()}
    pages = {"tables/digits.md", "tables/digits.csv"}
    figures = {"figures/cost.svg", "figures/search/parsec/batch0/cells-0.svg"}
    assert kept == {MARKER, "settings.yaml", RESULTS_FILE} | pages | figures


def test_results_are_those_asked_for(results, record):
    keep(results, record)
    written = {f"{run}/result.json": result for run, result in RUNS.items()} | {"fit/seed0/fit.json": fit_result()}
    assert {line.pop("file"): line for line in read_lines(record / RESULTS_FILE)} == written


def test_pandas_reads_results_in_one_line(results, record):
    keep(results, record)
    rows = pd.read_json(record / RESULTS_FILE, lines=True)
    assert rows["kind"].tolist() == ["search", "retrain", "fit"]
    assert rows["test"][1]["top1_error"] == 2.5


def test_index_lists_completed_and_pending(results, record):
    keep(results, record)
    index = (record.parent / "README.md").read_text()
    row = "| [2026-digits](2026-digits) | a run of digits | Abacus, 2 cores | 2 | 1.00 | 000000000 with changes |"
    assert row in index
    assert "| the paper's search | `snakemake -n` | a GPU |" in index
    assert "--configfile results/records/2026-digits/settings.yaml" in index


def test_partial_record_is_not_listed(results, record):
    """What a killed `keep` leaves: all but the results, which are written last."""
    partial = partial_path(record)
    partial.mkdir()
    (partial / "settings.yaml").write_text((results / "settings.yaml").read_text())
    keep(results, record)
    renew(record.parent)
    assert partial.name not in (record.parent / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("2026-digits/settings.yaml", "name: [", "cannot be read .* restore the record from git"),
        ("2026-digits/settings.yaml", "", "not the settings of a run; restore the record from git"),
        (OPEN, "what,command\na,b\n", "give every row the columns what, command and needs"),
        (OPEN, "what,command,needs\na,b\n", "give every row the columns what, command and needs"),
    ],
)
def test_damaged_files_of_records_are_one_line(results, record, name, text, complaint):
    keep(results, record)
    (record.parent / name).write_text(text)
    with pytest.raises(UserError, match=complaint) as refused:
        renew(record.parent)
    assert "\n" not in str(refused.value)


def test_existing_record_is_refused(results, record):
    keep(results, record)
    with pytest.raises(UserError, match="exists already"):
        keep(results, record)


@pytest.mark.parametrize(
    ("missing", "complaint"),
    [
        ("settings.yaml", "no finished run"),
        ("retrain/digits/search/parsec/seed0/run0/result.json", r"run0/result.json: cannot be read"),
        ("figures/cost.svg", "has no figures/cost.svg"),
    ],
)
def test_incomplete_run_leaves_nothing(results, record, missing, complaint):
    (results / missing).unlink()
    with pytest.raises(UserError, match=complaint):
        keep(results, record, ["cost.svg"])
    assert [path.name for path in record.parent.iterdir()] == [OPEN]


@pytest.mark.parametrize("page", ["README.md", "claims.md"])
def test_own_pages_are_not_overwritten(results, record, page):
    (record.parent / page).write_text("# My notes\n")
    with pytest.raises(UserError, match="another kind of file"):
        keep(results, record)
    assert not record.exists()
    assert (record.parent / page).read_text() == "# My notes\n"


def test_renewal_translates_settings_only(results, record, monkeypatch):
    keep(results, record)
    lines = (record / RESULTS_FILE).read_bytes()
    newest = documents.SCHEMA + 1
    monkeypatch.setitem(documents.RENAMES, newest, Renames({"search.dataset": "images"}, {}))
    monkeypatch.setattr(documents, "SCHEMA", newest)
    renew(record.parent)
    assert "images" in yaml.safe_load((record / "settings.yaml").read_text())["search"]
    assert (record / RESULTS_FILE).read_bytes() == lines


@pytest.fixture
def benchmark(tmp_path):
    """What a benchmark wrote."""
    target = {"contender": "stacked", "quantity": "speedup", "found": 3.21, "target": 1.3, "reached": True}
    made = search_result()["provenance"]
    document = {"kind": "bench", "comparisons": [{"targets": [target]}], "provenance": made}
    (tmp_path / "search.json").write_text(json.dumps(document))
    return tmp_path / "search.json"


def test_benchmark_targets_are_listed(benchmark, record):
    kept = record.parent / "benchmarks" / "2026-search.json"
    keep_benchmark(benchmark, kept)
    assert kept.read_bytes() == benchmark.read_bytes()
    index = (record.parent / "README.md").read_text()
    assert "[2026-search](benchmarks/2026-search.json) | Abacus, 2 cores | 1 |" in index
    assert "stacked: speedup 3.21 (target 1.3), reached" in index
    assert "the paper's search" in index
    with pytest.raises(UserError, match="exists already"):
        keep_benchmark(benchmark, kept)


@pytest.mark.parametrize(
    ("content", "place", "complaint"),
    [
        ('{"kind": "search"}', "benchmarks/a.json", "not what `parsec bench --json` writes"),
        ("[]", "benchmarks/a.json", "it must be what `parsec bench --json` writes"),
        ("no JSON", "benchmarks/a.json", "it must be what `parsec bench --json` writes"),
        (BENCH, "a.json", "benchmarks are kept as results/records/benchmarks/NAME.json"),
        (BENCH, "benchmarks/a", "benchmarks are kept as"),
    ],
)
def test_other_files_are_no_benchmarks(tmp_path, record, content, place, complaint):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(UserError, match=complaint):
        keep_benchmark(tmp_path / "x.json", record.parent / place)
