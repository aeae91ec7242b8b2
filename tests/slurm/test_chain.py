"""The tiny chain on the cluster, and a search on two of its nodes."""

import json

import pytest
from slurm.cluster import NODES, wait_until
from slurm.disturb import FOLDER, PATIENCE, PROFILE, TARGET, Search, Story
from workspace import PROFILE as LOCAL

RULES = {"prepare_dataset", "search", "finetune", "transfer", "retrain", "measure_executor"}


def whole_chain(search: Search) -> Story:
    search.calls.append(search.workspace.start(*PROFILE))
    story = search.end()
    names = search.cluster.run("squeue", "-h", "--states=all", "-o", "%k %Z").splitlines()
    here = [line.split()[0] for line in names if line.endswith(f" {search.workspace.work}")]
    # Tables and figures are no jobs, but for those of which thousands are drawn by a few.
    rules = {name.removeprefix("rule_").split("_wildcards_")[0] for name in here if "drawings" not in name}
    assert rules == RULES
    assert (search.workspace.results / "report.html").exists()
    assert "Nothing to be done" in search.workspace.run(*PROFILE, "--dry-run").stdout
    return story


@pytest.mark.story(of=whole_chain)
def test_chain_to_the_end(story, reference):
    assert story.code == 0, story.said
    assert set(story.states) == {"COMPLETED"}
    assert "No profile" not in story.said
    assert "Checklist: results/checklist.md" in story.said
    assert story.bytes == reference


def on_two_nodes(search: Search) -> Story:
    two = ("--cores", "2", "--set-resources", "search:ranks=2", "--set-threads", "search=2")
    local = search.workspace.run(*LOCAL, *two, "--", TARGET)
    assert local.returncode == 0, local.stderr
    alone = search.workspace.base / "on-one-machine"
    (search.workspace.results / FOLDER).rename(alone)
    with search.cluster.whole:
        search.start("slurm_partition=both", "ranks=2", "nodes=2", "tasks=2", 'mpi="srun"')
        seen: set[str] = set()
        wait_until(lambda: seen.update(filter(search.trains_on, NODES)) or seen == set(NODES), PATIENCE)
        story = search.end()
    assert story.bytes == (alone / "pi.parquet").read_bytes()
    assert json.loads((search.workspace.results / FOLDER / "result.json").read_text())["cost"]["ranks"] == 2
    return story


@pytest.mark.story(of=on_two_nodes)
def test_two_nodes_match_two_local_ranks(story):
    assert story.code == 0, story.said
    assert story.states == ("COMPLETED",)
    assert story.restarts == 0
