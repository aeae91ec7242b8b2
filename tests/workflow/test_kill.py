"""A search killed at a random moment, continued by the same command, gives the bytes of one that nobody disturbed."""

import random

import pytest
from processes import caught_search, rows
from workspace import PROFILE

TARGET = "results/search/digits/parsec/seed0/pi.parquet"


@pytest.fixture
def longer(copy):
    """The tiny run with its data, before a search that takes seconds and saves its state at every step."""
    copy.change("search.epochs", 15)
    (copy.results / "search").rename(copy.base / "before")
    return copy


def test_killed_search_resumes_bit_identically(longer):
    state = longer.results / "state/search/digits/parsec/seed0"
    least = random.randint(1, 20)

    def underway():
        # A row may be there before the first checkpoint is.
        return least <= rows(state) <= 25 and any(state.glob("step-*.pt"))

    process, search = caught_search(longer, TARGET, underway)
    search.kill()
    said = process.communicate()[0]
    assert process.returncode != 0
    assert "run the same command again" in said
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
