"""Disks that are full or read-only: one line, nothing lost, nothing half-written, and the same command goes on."""

import contextlib
import os
import resource
import subprocess

import pytest

PLACES = ["a save", "its metrics", "its outputs"]
FULL = "no space left on the disk; free some and run the same command again"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 32 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", folder], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder):
    """Take all space that is left in a file system."""
    descriptor = os.open(folder / "filler", os.O_CREAT | os.O_WRONLY)
    with contextlib.suppress(OSError):
        while True:
            os.write(descriptor, bytes(4096))
    os.close(descriptor)


def fails_in_one_line(run, message, **given):
    """The run says in one line why it ends and leaves no output, whole or half."""
    code, said = run.finish(**given)
    assert code == 2, said
    assert message in said[-1]
    assert not any("Traceback" in line for line in said)
    assert not run.output.exists() or not list(run.output.iterdir())
    return said


def survives_full_disk(verb, place, make_run, disk, at_step, expected):
    """Let the disk become full when this is next to be written; returns the step after which the run goes on."""
    where = "output" if place == "its outputs" else "state"
    run = make_run(verb, f"{verb}-{PLACES.index(place)}", **{where: disk / "run"})
    if place == "its outputs":
        fill(disk)
        fails_in_one_line(run, FULL)
    else:
        seconds, step = (0.0, 5) if place == "a save" else (600.0, 0)
        full = at_step(verb, step, lambda: fill(disk))
        fails_in_one_line(run, FULL, before=full, checkpoint_seconds=seconds)
    (disk / "filler").unlink()
    code, said = run.finish()
    assert code == 0, said
    assert run.contents() == expected
    assert not run.state.exists()
    return said[0].partition("continues after step ")[2]


@pytest.mark.fault("search", "the disk is full while state, metrics or outputs are written")
def test_search_on_a_full_disk(make_run, undisturbed, small_disk, at_step, outcome):
    given = (make_run, small_disk, at_step, undisturbed("search"))
    steps = [survives_full_disk("search", place, *given) for place in PLACES]
    assert steps == ["5", "", "12"]
    outcome(
        "one line that names the file (3 of 3); with space again the same command goes on after the step saved last (5 "
        "of 12, or the end) or from the start, where nothing was saved, to the bytes of an undisturbed run"
    )


@pytest.mark.fault("retraining", "the disk is full while state, metrics or outputs are written")
def test_retraining_on_a_full_disk(make_run, undisturbed, small_disk, at_step, outcome):
    given = (make_run, small_disk, at_step, undisturbed("retrain"))
    steps = [survives_full_disk("retrain", place, *given) for place in PLACES]
    assert steps == ["5", "", "12"]
    outcome("as in a search (3 of 3)")


@pytest.mark.fault("search", "a file may not grow beyond a limit (`ulimit -f`)")
def test_limit_on_the_size_of_files(make_run, undisturbed, outcome):
    run = make_run("search")
    fails_in_one_line(run, FULL, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192)))
    assert run.finish()[0] == 0
    assert run.contents() == undisturbed("search")
    outcome(
        "one line that names the file; without the limit the same command ends with the bytes of an undisturbed run"
    )


@contextlib.contextmanager
def read_only(disk):
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    yield
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


@pytest.mark.fault("search", "results are read-only")
def test_read_only_results(make_run, undisturbed, small_disk, outcome):
    refused = "cannot be written (Read-only file system); choose a folder that is yours"
    places = [make_run("search", "a", state=small_disk), make_run("search", "b", output=small_disk)]
    with read_only(small_disk):
        lines = [fails_in_one_line(run, refused) for run in places]
    assert [len(said) for said in lines] == [1, 1]
    for run in places:
        assert run.finish()[0] == 0
        assert run.contents() == undisturbed("search")
    outcome("one line that names the place, before the first step, for the state and for the outputs (2 of 2)")
