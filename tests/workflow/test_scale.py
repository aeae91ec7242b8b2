"""Plans of many runs: they hold what was asked for, in few jobs for what is small, and grow no faster than the runs."""

import pstats
import subprocess
import sys

import yaml

from parsec.config import plan
from parsec.config.load import load

STAGES = ("search", "finetune", "transfer")


def with_seeds(place, count):
    place.change("seeds", list(range(count)))
    return place


def test_thousand_jobs_need_few_figure_jobs(fresh):
    planned = with_seeds(fresh, 200).planned()
    assert [planned.pop(stage) for stage in STAGES] == [200, 200, 200]
    assert planned.pop("retrain") == 2 * 200 + 1
    assert planned.pop("first_run_figures") == len(STAGES)
    assert planned.pop("run_figures") == len(STAGES) * (200 // plan.BATCH - 1)
    assert planned.pop("job_settings") == 2 + len(STAGES) + 2 + 1  # per data set, stage, retraining and measurement
    # Data, measurement, tables, figures of all runs, checklist, summary, complete settings and report.
    assert sum(planned.values()) == 2 + 1 + 2 + 5 + 1 + 1 + 1 + 1


def calls(place, seeds, profile):
    """Python functions called by a dry run, in Snakemake and in the workflow."""
    _, *command = with_seeds(place, seeds).command("--dry-run", "--quiet", "all")
    subprocess.run([sys.executable, "-m", "cProfile", "-o", profile, *command], cwd=place.sources, check=True)
    return pstats.Stats(str(profile)).total_calls


def test_planning_work_grows_linearly_with_runs(fresh, tmp_path):
    few, some, many = (calls(fresh, seeds, tmp_path / "profile") for seeds in (20, 40, 80))
    assert many - some < 2.5 * (some - few)


def test_new_seed_changes_the_last_batch(fresh):
    settings = yaml.safe_load((fresh.base / "settings.yaml").read_text())
    before, after = (load(settings | {"seeds": [*range(60, 0, -1)][:count]}) for count in (27, 28))
    batches = [plan.search_batches(before, stage, "parsec") for stage in STAGES]
    assert [run for stage in batches for batch in stage for run in batch] == list(plan.searches(before))
    for stage, old in zip(STAGES, batches, strict=True):
        new = plan.search_batches(after, stage, "parsec")
        assert [batch for batch in new if batch not in old] == [new[2]]
