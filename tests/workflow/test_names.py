"""Names that a shell would execute: as a data set refused in one line, as a folder just a folder."""

import pytest
import yaml

STRANGE = """it's "a" $(touch x) & touch y; `touch z`"""


@pytest.mark.fault("workflow", "a data set is called `$(touch x)`, or the results folder holds quotes and commands")
def test_nothing_in_a_name_is_executed(fresh, outcome):
    settings = yaml.safe_load((fresh.base / "settings.yaml").read_text())
    fresh.change("datasets", {**settings["datasets"], "$(touch x)": {"source": "digits"}})
    refused = fresh.run("--dry-run")
    said = (refused.stdout + refused.stderr).strip().splitlines()
    assert refused.returncode != 0
    assert "'$(touch x)' cannot be a name" in said[-1]
    assert not any("Traceback" in line for line in said)

    fresh.change("datasets", settings["datasets"])
    fresh.change("results", STRANGE)
    made = fresh.run("--workflow-profile", "none", f"{STRANGE}/data/digits/dataset.json")
    assert made.returncode == 0, made.stdout + made.stderr
    assert (fresh.work / STRANGE / "data/digits/dataset.json").exists()
    assert {path.name for path in fresh.work.iterdir()} == {STRANGE, ".snakemake"}
    assert not {"x", "y", "z"} & {path.name for path in fresh.sources.iterdir()}
    outcome("a bad name, refused in one line before any job; a results folder of such a name is made, and nothing runs")
