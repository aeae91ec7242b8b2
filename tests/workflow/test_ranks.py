"""Several processes a search: asked for as a resource, which re-runs nothing that is finished."""

import json

TWO = ("--cores", "2", "--set-resources", "search:ranks=2", "--set-threads", "search=2")
TARGET = "results/search/digits/parsec/seed0/result.json"


def test_ranks_are_a_resource_of_the_rule(copy):
    assert copy.planned(*TWO) == {}
    assert json.loads((copy.work / TARGET).read_text())["cost"]["ranks"] == 1
    (copy.results / "search").rename(copy.base / "before")
    done = copy.run(*TWO, "--printshellcmds", TARGET)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "--ranks 2 --threads 2" in done.stdout + done.stderr
    assert json.loads((copy.work / TARGET).read_text())["cost"]["ranks"] == 2
