"""A job that outlives the Snakemake that started it: its outputs, which the next one deletes, are not trained again."""

import os
import signal
import time

import psutil
import pytest

TARGET = "results/search/digits/parsec/seed0/pi.parquet"
PROFILE = ("--workflow-profile", "workflow/profiles/default")


def search_of(process):
    """The process of the search that this Snakemake has started, once it has."""
    while process.poll() is None:
        for child in psutil.Process(process.pid).children(recursive=True):
            if child.name().startswith("python") and "search" in child.cmdline():
                return child
        time.sleep(0.01)
    raise AssertionError(f"Snakemake ended before its time: {process.communicate()}")


@pytest.mark.fault("workflow", "Snakemake is killed, and its job goes on to the end")
def test_outputs_of_a_job_that_outlived_snakemake_are_put_back(copy, outcome):
    (copy.results / "search").rename(copy.base / "before")
    process = copy.start(*PROFILE, TARGET)
    search = search_of(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert search.is_running()
    psutil.wait_procs([search], timeout=600)
    folder = (copy.work / TARGET).parent
    left = {file.name: file.read_bytes() for file in folder.iterdir()}
    assert "result.json" in left

    assert copy.run("--unlock").returncode == 0
    again = copy.run(*PROFILE, TARGET)
    said = again.stdout + again.stderr
    assert again.returncode == 0, said
    assert "had ended before, are put back" in said
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == left
    assert not (copy.results / "state").exists()
    assert copy.planned(TARGET) == {}
    outcome(
        f"after `--unlock` the same command puts the {len(left)} files of the finished search back, byte for byte, "
        "without training"
    )
