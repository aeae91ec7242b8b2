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


def test_a_thousand_jobs_are_planned_and_few_of_them_draw(fresh):
    planned = with_seeds(fresh, 200).planned()
    drawn = {rule: planned.pop(rule) for rule in list(planned) if rule.startswith("figures_")}
    assert [planned[stage] for stage in STAGES] == [200, 200, 200]
    assert planned["retrain"] == 2 * 200 + 1
    assert drawn == {f"figures_{stage}_parsec_{block}": 1 for stage in STAGES for block in range(200 // plan.BLOCK)}
    assert (
        sum(planned.values()) - 1001 == 2 + 1 + 2 + 5 + 1
    )  # data, measurement, tables, figures of all runs, checklist


def calls(place, seeds, profile):
    """Python functions called by a dry run, in Snakemake and in the workflow."""
    _, *command = with_seeds(place, seeds).command("--dry-run", "--quiet", "all")
    subprocess.run([sys.executable, "-m", "cProfile", "-o", profile, *command], cwd=place.sources, check=True)
    return pstats.Stats(str(profile)).total_calls


def test_the_work_of_planning_grows_with_the_runs_and_not_with_their_square(fresh, tmp_path):
    few, some, many = (calls(fresh, seeds, tmp_path / "profile") for seeds in (20, 40, 80))
    assert many - some < 2.5 * (some - few)


def test_blocks_hold_every_run_once_and_a_new_seed_changes_the_last_alone(fresh):
    settings = yaml.safe_load((fresh.base / "settings.yaml").read_text())
    before, after = (load(settings | {"seeds": [*range(60, 0, -1)][:count]}) for count in (27, 28))
    blocks = list(plan.blocks(before))
    assert [run for _, runs in blocks for run in runs] == list(plan.searches(before))
    changed = {name for name, runs in plan.blocks(after) if (name, runs) not in blocks}
    assert changed == {f"{stage}_parsec_2" for stage in STAGES}
