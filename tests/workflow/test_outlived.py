"""A job that outlives the Snakemake that started it: its outputs, which the next one deletes, are not trained again."""

import shutil

import psutil
import pytest
from processes import caught_search, thaw
from workspace import PROFILE

TARGET = "results/search/digits/parsec/seed0/pi.parquet"


@pytest.mark.fault("workflow", "Snakemake is killed, and its job goes on to the end")
def test_outputs_outliving_snakemake_are_restored(copy, outcome):
    shutil.rmtree(copy.results / "search")
    process, search = caught_search(copy, TARGET)
    process.kill()
    process.wait()
    thaw([search])
    psutil.wait_procs([search])
    process.communicate()
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
