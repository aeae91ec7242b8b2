"""Limits of a job: the profile gives every attempt more memory and time, and the search goes on where it was."""

import pytest
from slurm.disturb import Search, Story


def needs_memory(search: Search) -> Story:
    search.start("mem_mb=300*attempt**2")
    return search.end()


@pytest.mark.fault("SLURM", "a search needs more memory than its job asked for")
@pytest.mark.story(of=needs_memory)
def test_more_memory_at_the_next_attempt(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states[0] in ("FAILED", "OUT_OF_MEMORY")
    assert story.states[-1] == "COMPLETED"
    assert "exceeded memory limit" in story.logs
    assert story.bytes == reference
    outcome(f"SLURM ends it, attempt {len(story.states)} with more memory finishes: the π of an undisturbed run")


def is_warned(search: Search) -> Story:
    search.start("runtime=4*attempt")
    with search.frozen():
        search.await_state("FAILED")
    return search.end()


@pytest.mark.fault("SLURM", "the time limit of a job comes near")
@pytest.mark.story(of=is_warned)
def test_signal_before_time_limit_allows_resume(story, reference, outcome):
    assert story.code == 0, story.said
    assert set(story.states[:-1]) == {"FAILED"}
    assert story.states[-1] == "COMPLETED"
    assert "stopped by signal 15, saved at step" in story.logs
    assert story.restarts == 1
    assert story.bytes == reference
    outcome(f"two minutes before, SIGTERM: saved, and the next job goes on after step {story.continued[0]}: the same π")


def takes_too_long(search: Search) -> Story:
    search.start("runtime=attempt", 'slurm_extra=""')
    with search.frozen():
        search.await_state("TIMEOUT")
    return search.end()


@pytest.mark.fault("SLURM", "a job hits its time limit")
@pytest.mark.story(of=takes_too_long)
def test_more_time_at_the_next_attempt(story, reference, outcome):
    assert story.code == 0, story.said
    assert story.states == ("TIMEOUT", "COMPLETED")
    assert story.restarts == 1
    assert story.bytes == reference
    outcome(f"the next job has more time and goes on after step {story.continued[0]}: the same π")
