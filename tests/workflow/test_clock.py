"""Files that a wrong clock made, years ahead or behind, are neither made again nor left unmade."""

import os
import time

import pytest

HOURS = (-100, -1, 1, 100)


def set_ages(folder, hours):
    for path in folder.rglob("*"):
        os.utime(path, (time.time() + 3600 * hours,) * 2)


@pytest.mark.fault("workflow", "the clock was hours off while data sets, searches or everything was made")
def test_ages_of_files_re_run_nothing_that_is_finished(copy, outcome):
    for hours in HOURS:
        for part in ("data", "search", ""):
            set_ages(copy.results / part, hours)
            assert copy.planned() == {}, (part, hours)
            set_ages(copy.results, 0)
    outcome(f"nothing is planned anew ({3 * len(HOURS)} of {3 * len(HOURS)}): what counts is what files hold")
