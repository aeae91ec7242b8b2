"""What is planned: all presets, both entries, a clean lint, and no plan at all for wrong settings."""

import subprocess
import sys

import pytest
from workspace import PROFILE, ROOT, counts

from parsec.config import plan
from parsec.config.load import load

NO_PROFILE = ("--workflow-profile", "none")
JOBS = {"config": 8, "cifar10": 4, "paper": 9, "transfer-cifar10": 5, "compare": 11}
"""Files of settings: one per data set, per stage and method, per retraining and per measurement."""
DEPTHS = {"measure_depths": 1, "figure_depths": 1}
STEP = {"measure_executor": 1, "figure_executor": 1}
COMPARED = {"figure_spending": 1, "comparison": 1}
PRESETS = {
    "config": {"prepare_dataset": 2, "search": 4, "finetune": 2, "transfer": 2, "retrain": 9, "table": 2} | COMPARED,
    "cifar10": {"prepare_dataset": 1, "search": 2, "finetune": 2, "retrain": 5, "table": 1},
    "paper": {"prepare_dataset": 2, "search": 4, "finetune": 4, "transfer": 4, "retrain": 49, "table": 2}
    | DEPTHS
    | STEP,
    "transfer-cifar10": {"prepare_dataset": 1, "search": 3, "finetune": 6, "retrain": 9, "table": 1} | COMPARED,
    "compare": {"prepare_dataset": 1, "search": 160, "retrain": 322, "table": 1} | DEPTHS | COMPARED,
}


def snakemake(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)


@pytest.mark.parametrize("preset", PRESETS)
def test_preset_plans_its_whole_chain(preset, tmp_path):
    done = snakemake("--dry-run", "--directory", str(tmp_path), "--configfile", f"config/{preset}.yaml")
    assert done.returncode == 0, done.stderr
    planned = counts(done.stdout + done.stderr)
    pages = ("figure_entropy", "figure_accuracy", "figure_operations", "figure_cost", "checklist", "summary")
    others = dict.fromkeys((*pages, "complete_settings", "html_report"), 1)
    # Every job draws a batch of the seeds of a stage and method.
    settings = load(ROOT / "config" / f"{preset}.yaml")
    drawn = len({(run.stage, run.method) for run in plan.searches(settings)})
    others["first_run_figures"] = drawn
    if later := len(settings.seeds) // (plan.BATCH + 1):
        others["run_figures"] = later * drawn
    assert planned == PRESETS[preset] | others | {"job_settings": JOBS[preset]}


def test_preset_of_the_studies_plans_them(shared_data, tmp_path):
    shared_data("nasbench201.parquet")
    done = snakemake("--dry-run", "--directory", str(tmp_path), "--configfile", "config/nasbench201.yaml")
    assert done.returncode == 0, done.stderr
    planned = counts(done.stdout + done.stderr)
    expected = {"search": 4, "score": 4, "fit_pi": 1, "ablate": 1, "kernels": 1, "simulate": 1, "predictor": 2}
    expected |= {"propose": 1, "lookup": 1, "ranking": 1, "experiment_table": 12, "experiment_figure": 9}
    assert {rule: planned.get(rule) for rule in expected} == expected
    assert not {"retrain", "table", "figure_cost", "measure_executor"} & planned.keys()


def test_both_entries_plan_the_same(tmp_path):
    options = ("--dry-run", "--directory", str(tmp_path), "--configfile", "config/config.yaml")
    root, shim = (snakemake(*options, *entry) for entry in ((), ("--snakefile", "workflow/Snakefile", *NO_PROFILE)))
    assert root.returncode == shim.returncode == 0
    assert counts(root.stdout + root.stderr) == counts(shim.stdout + shim.stderr) != {}


@pytest.mark.parametrize("entry", ["Snakefile", "workflow/Snakefile"])
def test_lint_is_clean(entry):
    done = snakemake("--snakefile", entry, *NO_PROFILE, "--lint")
    assert done.returncode == 0, done.stdout + done.stderr


def test_default_configuration_needs_no_option(tmp_path):
    (tmp_path / "config").symlink_to(ROOT / "config")
    done = snakemake("--dry-run", "--directory", str(tmp_path))
    assert counts(done.stdout + done.stderr)["retrain"] == PRESETS["config"]["retrain"]


def test_given_preset_excludes_the_default(tmp_path):
    done = snakemake("--dry-run", "--directory", str(tmp_path), "--configfile", "config/cifar10.yaml")
    assert done.returncode == 0, done.stderr
    assert "digits" not in done.stdout + done.stderr


def test_mistyped_key_fails_in_one_line(fresh):
    fresh.change("retrain.digits.epohs", 3)
    done = fresh.run("--dry-run")
    assert done.returncode != 0
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == 1
    assert "retrain.digits.epohs" in lines[0]
    assert "epochs" in lines[0]


def test_data_set_with_the_name_of_a_table_fails_in_one_line(fresh):
    fresh.change("datasets.comparison", {"source": "digits"})
    fresh.change("retrain.comparison", {"runs": [0]})
    done = fresh.run("--dry-run")
    assert done.returncode != 0
    (line,) = (done.stdout + done.stderr).splitlines()
    assert line.startswith("retrain.comparison: another table has this name")


def test_missing_profile_is_noticed(fresh):
    mistyped = fresh.run("--workflow-profile", "workflow/profiles/elsewhere", "results/jobs/search/parsec.yaml")
    assert "No profile is in use" in mistyped.stderr
    right = fresh.run(*PROFILE, "results/jobs/retrain/digits.yaml")
    assert "results go to" in right.stderr
    assert "No profile" not in right.stderr
