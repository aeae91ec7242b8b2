"""A search killed at a random moment, continued by the same command, gives the bytes of one that nobody disturbed."""

import random

from processes import caught_search, rows
from workspace import PROFILE

TARGET = "results/search/digits/parsec/seed0/pi.parquet"


def test_killed_search_resumes_bit_identically(copy):
    """Of a search that takes seconds and saves its state at every step."""
    copy.change("search.epochs", 15)
    (copy.results / "search").rename(copy.base / "before")
    state = copy.results / "state/search/digits/parsec/seed0"
    least = random.randint(1, 20)

    def underway():
        # A row may be there before the first checkpoint is.
        return least <= rows(state) <= 25 and any(state.glob("step-*.pt"))

    process, search = caught_search(copy, TARGET, underway)
    search.kill()
    said = process.communicate()[0]
    assert process.returncode != 0
    assert "run the same command again" in said
    assert not (copy.work / TARGET).exists()
    assert any(state.iterdir())

    again = copy.run(*PROFILE, TARGET)
    assert again.returncode == 0, again.stderr
    disturbed = (copy.work / TARGET).read_bytes()
    result = (copy.work / TARGET).with_name("result.json").read_text()
    assert '"restarts": 1' in result

    (copy.results / "search").rename(copy.base / "disturbed")
    assert copy.run(*PROFILE, TARGET).returncode == 0
    assert (copy.work / TARGET).read_bytes() == disturbed
