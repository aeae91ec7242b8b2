"""The tiny run of the whole chain: what it leaves, what it says, and that it is finished."""

import csv
import json
import re

import yaml

from parsec.config import plan
from parsec.config.base import RETRAIN_FILES, SEARCH_FILES
from parsec.config.load import load

STAGES = {"search", "finetune", "transfer"}


def test_every_stage_leaves_its_files(finished):
    settings = load(finished.base / "settings.yaml")
    searches = [finished.results / run.folder / name for run in plan.searches(settings) for name in SEARCH_FILES]
    trainings = [finished.results / run.folder / name for run in plan.retrains(settings) for name in RETRAIN_FILES]
    assert len(searches) == 3 * len(SEARCH_FILES)
    assert all(file.stat().st_size > 0 for file in searches + trainings)


def test_pages_are_made_in_every_format(finished):
    for dataset in ("digits", "digits-folder"):
        kinds = ("csv", "classes.csv", "md", "html", "tex", "bib")
        assert all((finished.results / f"tables/{dataset}.{kind}").stat().st_size for kind in kinds)
    names = ["entropy", "accuracy", "operations", "cost", "executor-search"]
    names += [f"{stage}/parsec/batch0/{name}-{stage}-parsec-seed0" for name in ("pi", "cells") for stage in STAGES]
    files = [finished.results / f"figures/{name}.{kind}" for name in names for kind in ("svg", "pdf", "png", "csv")]
    assert all(file.stat().st_size for file in files)
    assert all("Lindauer" in (finished.results / f"checklist.{kind}").read_text() for kind in ("md", "html"))


def test_table_shows_what_the_records_hold(finished):
    record = finished.results / "retrain/digits/search/parsec/seed0/run0/result.json"
    with (finished.results / "tables/digits.csv").open() as file:
        ours = [row for row in csv.DictReader(file) if row["section"] == "ours" and row["origin"] == "search"]
    assert [float(row["top1_error_mean"]) for row in ours] == [json.loads(record.read_text())["test"]["top1_error"]]


def test_report_is_offline_and_captioned(finished):
    page = (finished.results / "report.html").read_text()
    assert "tiny run of the whole chain" in page
    assert "0 Summary" in page
    assert "effective sample size" in page
    assert '<script src="http' not in page
    assert '<link href="http' not in page


def test_effective_settings_roundtrip(finished):
    written = load(finished.results / "settings.yaml")
    assert written == load(finished.base / "settings.yaml")
    assert "weight_decay" in yaml.safe_load((finished.results / "settings.yaml").read_text())["search"]["weights"]


def test_output_is_short_and_names_results(finished):
    said = (finished.base / "printed.txt").read_text()
    for line in ("Tables: results/tables", "Figures: results/figures", "Report: results/report.html"):
        assert line in said
    assert "entropy of π" in said
    assert "-m parsec" not in said
    assert "Traceback" not in said
    steps = [int(step) for step in re.findall(r"^(\d+) of \d+ steps \(\d+%\) done$", said, re.MULTILINE)]
    assert steps[-1] == len(steps)
    assert "Entropy of π (nats):\n  PARSEC, Proxy search, digits: " in said
    progress = re.compile(r"Select jobs.*|Execute \d+ jobs.*|\[.*\]|Finished jobid.*|\d+ of \d+ steps.*")
    assert len([line for line in said.splitlines() if not progress.fullmatch(line)]) < 75


def test_finished_run_leaves_nothing_to_resume(finished):
    assert "Nothing to be done" in finished.run().stderr
    assert not [file for file in finished.results.glob("state/**/*") if file.is_file()]


def test_only_retraining_reads_the_test_set(finished):
    summary = finished.run("--detailed-summary").stdout
    inputs = {
        row["output_file"]: row["input-file(s)"].split(",")
        for row in csv.DictReader(summary.splitlines(), delimiter="\t")
    }
    tested = {file.split("/")[1] for file, needs in inputs.items() if any(n.endswith("/test") for n in needs)}
    assert STAGES | {"retrain", "measure"} <= {file.split("/")[1] for file in inputs}
    assert tested == {"retrain"}


def test_logs_and_benchmarks_of_all_jobs(finished):
    results = finished.results
    for stage in STAGES:
        log = next((results / "logs" / stage).rglob("seed0.log"))
        assert "attempt" in log.read_text()
        assert next((results / "benchmarks" / stage).rglob("seed0.tsv")).stat().st_size
