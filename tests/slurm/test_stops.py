"""What users do to their jobs, and to Snakemake itself."""

import signal

import pytest
from slurm.cluster import wait_until
from slurm.disturb import Search, Story


def has_its_job_cancelled(search: Search) -> Story:
    search.start()
    with search.frozen():
        search.cluster.run("scancel", search.job())
    return search.end()


@pytest.mark.fault("SLURM", "`scancel` of a search that runs")
@pytest.mark.story(of=has_its_job_cancelled)
def test_cancelled_job_is_submitted_again(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states == ("CANCELLED", "COMPLETED")
    assert story.restarts == 1
    assert story.bytes == reference
    outcome(f"saved; Snakemake submits it again, and it goes on after step {story.continued[0]}: the same π")


def is_interrupted(search: Search) -> Story:
    call = search.start()
    with search.frozen():
        call.send_signal(signal.SIGINT)
        assert "run the same command again" in search.said()
        assert call.returncode != 0
        search.await_state("CANCELLED")
    search.start()
    return search.end()


@pytest.mark.fault("SLURM", "Ctrl-C to Snakemake while a search runs")
@pytest.mark.story(of=is_interrupted)
def test_rerun_after_ctrl_c_resumes_search(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states == ("CANCELLED", "COMPLETED")
    assert story.restarts == 1
    assert story.bytes == reference
    outcome(f"its job is cancelled and saves; the same command goes on after step {story.continued[0]}: the same π")


def outlives_snakemake(search: Search) -> Story:
    call = search.start()
    with search.frozen() as trainer:
        call.kill()
        call.wait()
        assert search.workspace.run("--unlock").returncode == 0
        search.start(options=("--retries", "0"))
        assert "Error in rule search" in search.said()
        assert "another process runs on this state" in search.logs()
        trainer.resume()
    wait_until(lambda: search.jobs()[0][1] == "COMPLETED", 120)
    search.start()
    return search.end()


@pytest.mark.fault("SLURM", "Snakemake itself is killed, and called again while its job runs")
@pytest.mark.story(of=outlives_snakemake)
def test_job_outlives_snakemake(story, reference, outcome):
    assert story.code == 0, story.said
    assert "Nothing to be done" in story.said
    assert story.states == ("COMPLETED", "FAILED")
    assert story.restarts == 0
    assert story.bytes == reference
    outcome("the first job runs on and finishes, the second refuses its state; after that nothing is left to do")
