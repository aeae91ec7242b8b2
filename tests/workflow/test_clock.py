"""Files that a wrong clock made, years ahead or behind, are neither made again nor left unmade."""

import os
import time

import pytest

OFF = (("data", 100), ("data", -100), ("search", 100), ("", 100))
"""Below which folder of the results all ages are wrong, and by how many hours."""


def set_ages(folder, hours):
    for path in folder.rglob("*"):
        os.utime(path, (time.time() + 3600 * hours,) * 2)


@pytest.mark.fault("workflow", "the clock was hours off while data sets, searches or everything was made")
def test_file_ages_trigger_no_reruns(copy, outcome):
    for part, hours in OFF:
        set_ages(copy.results / part, hours)
        assert copy.planned() == {}, (part, hours)
        set_ages(copy.results, 0)
    outcome(f"nothing is planned again ({len(OFF)} of {len(OFF)}): what counts is what files hold")
