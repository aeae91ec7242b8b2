"""A search killed at a random moment, continued by the same command, gives the bytes of one that nobody disturbed."""

import random
import time

import psutil
import pytest

TARGET = "results/search/digits/parsec/seed0/pi.parquet"
PROFILE = ("--workflow-profile", "workflow/profiles/default")


@pytest.fixture
def longer(copy):
    """The tiny run with its data, before a search that takes seconds and saves its state at every step."""
    copy.change("search.epochs", 15)
    (copy.results / "search").rename(copy.base / "before")
    return copy


def search_of(process):
    """The process of the search that this Snakemake has started."""
    children = psutil.Process(process.pid).children(recursive=True)
    return next(child for child in children if child.name().startswith("python") and "search" in child.cmdline())


def wait_for(condition, process):
    while process.poll() is None:
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError(f"Snakemake ended before its time: {process.stdout.read()}")


def test_killed_search_is_continued_to_the_same_bytes(longer):
    state = longer.results / "state/search/digits/parsec/seed0"
    with longer.start(*PROFILE, TARGET) as process:
        wait_for(lambda: any(state.glob("*")) and any(f.stat().st_size > 0 for f in state.glob("*")), process)
        time.sleep(random.random())
        search_of(process).kill()
        said = process.communicate(timeout=900)[0]
    assert process.returncode != 0
    assert "give the same command again" in said
    assert not (longer.work / TARGET).exists()
    assert any(state.iterdir())

    again = longer.run(*PROFILE, TARGET)
    assert again.returncode == 0, again.stderr
    disturbed = (longer.work / TARGET).read_bytes()
    result = (longer.work / TARGET).with_name("result.json").read_text()
    assert '"restarts": 1' in result

    (longer.results / "search").rename(longer.base / "disturbed")
    assert longer.run(*PROFILE, TARGET).returncode == 0
    assert (longer.work / TARGET).read_bytes() == disturbed
