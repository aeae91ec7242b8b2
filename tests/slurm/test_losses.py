"""Nodes that are lost, to a fault or to a job that matters more."""

import signal

import pytest
from slurm.disturb import Search, Story


def loses_its_node(search: Search) -> Story:
    cluster = search.cluster
    with cluster.whole:
        search.start("slurm_partition=both")
        with search.frozen():
            assert cluster.run("squeue", "-h", "-j", search.job(), "-o", "%N").strip() == "n2"
            cluster.kill_node("n2")
            search.hasten()
        story = search.end()
        cluster.start_node("n2")
        return story


@pytest.mark.fault("SLURM", "the node of a search dies: its slurmd and all its processes are killed")
@pytest.mark.story(of=loses_its_node)
def test_job_is_requeued_after_node_failure(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states == ("COMPLETED",)
    assert story.restarts == 1
    assert story.bytes == reference
    outcome(f"SLURM runs the same job again, which goes on after step {story.continued[0]}: the same π")


def take_its_gpus(search: Search, model: str) -> None:
    """A job of a higher tier that needs the GPUs of the search."""
    asked = ("-p", "first", "--gpus", f"{model}:2", "--mem", "10", "--time", "1", "--output", "/dev/null")
    search.cluster.run("sbatch", *asked, "--wrap", "sleep 1")


def is_requeued(search: Search) -> Story:
    search.start("slurm_partition=requeued", "gpu=2", "gpu_model=fake")
    with search.frozen():
        take_its_gpus(search, "fake")
        search.hasten()
    return search.end()


@pytest.mark.fault("SLURM", "a more important job takes the GPUs, and SLURM lets the search wait again")
@pytest.mark.story(of=is_requeued)
def test_preempted_search_resumes_bit_identically(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states == ("COMPLETED",)
    assert story.restarts == 1
    assert story.bytes == reference
    outcome(f"SIGTERM: saved; the same job runs again and goes on after step {story.continued[0]}: the same π")


def is_cancelled(search: Search) -> Story:
    asked = ("slurm_partition=cancelled", "gpu=2", "gpu_model=mock")
    call = search.start(*asked)
    with search.frozen():
        take_its_gpus(search, "mock")
        search.await_state("PREEMPTED")
    call.send_signal(signal.SIGINT)
    assert "run the same command again" in search.said()
    search.start(*asked)
    return search.end()


@pytest.mark.fault("SLURM", "a more important job takes the GPUs, and SLURM cancels the search")
@pytest.mark.story(of=is_cancelled)
def test_cancelled_for_another_job(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states == ("PREEMPTED", "COMPLETED")
    assert story.restarts == 1
    assert story.bytes == reference
    where = f"goes on after step {story.continued[0]}"
    outcome(f"SIGTERM: saved; the plugin waits for it in vain; after Ctrl-C the same command {where}: the same π")
