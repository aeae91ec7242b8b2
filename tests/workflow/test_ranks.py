"""Several processes per run: asked for as a resource, which re-runs nothing that is finished."""

import json

import pytest

RUNS = {"search": "search/digits/parsec/seed0", "retrain": "retrain/digits/search/parsec/seed0/run0"}


@pytest.mark.parametrize("rule", RUNS)
def test_ranks_are_a_rule_resource(copy, rule):
    two = ("--cores", "2", "--set-resources", f"{rule}:ranks=2", "--set-threads", f"{rule}=2")
    target = f"results/{RUNS[rule]}/result.json"
    assert copy.planned(*two) == {}
    assert json.loads((copy.work / target).read_text())["cost"]["ranks"] == 1
    (copy.results / rule).rename(copy.base / "before")
    done = copy.run(*two, "--printshellcmds", target)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--ranks 2 --threads 2" in done.stdout + done.stderr
    assert json.loads((copy.work / target).read_text())["cost"]["ranks"] == 2
