"""Shards cut short, clocks that jump, two runs on one state, too little memory, damaged checkpoints."""

import os
import random
import resource
import shutil
import signal
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from parsec.config.training import Network
from parsec.records import provenance
from parsec.runtime.checkpoint import checkpoint_files

TRAININGS = {"search": "search", "retrain": "retraining"}
"""What the page of faults calls them, by verb."""


def only_line(run):
    """What a run that fails prints, which must be one line."""
    code, said = run.finish()
    assert (code, len(said)) == (2, 1), said
    return said[0]


@pytest.mark.fault("data", "a shard of the data set is cut short or changed, before a run or between two attempts")
def test_a_damaged_shard(make_run, digits, tmp_path, at_step, undisturbed, outcome):
    data = tmp_path / "data"
    shutil.copytree(digits, data)
    shard = data / "train" / "images-000.npy"
    whole = shard.read_bytes()
    runs = [make_run(verb, verb, data=data) for verb in TRAININGS]
    for run in runs:
        stopped = at_step(run.verb, 5, lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert run.finish(before=stopped)[0] == -signal.SIGKILL
    for harmed in (whole[:-7], whole[:100], b"", whole[:-1] + bytes([whole[-1] ^ 1])):
        shard.write_bytes(harmed)
        for run in runs:
            line = only_line(run)
            assert str(shard) in line
            assert f"`--forcerun {data / 'dataset.json'}`" in line
    shard.write_bytes(whole)
    for run in runs:
        assert run.finish()[0] == 0
        assert "continues after step 5" in run.said.read_text()
        assert run.contents() == undisturbed(run.verb)
    outcome(
        "one line that names the shard and the command that makes it again (8 of 8); with the shard as it was, runs go "
        "on from their checkpoint to the bytes of an undisturbed run"
    )


def of_both(what):
    """The parameter `verb`, marked as a fault of either training."""
    marked = [pytest.param(verb, marks=pytest.mark.fault(where, what)) for verb, where in TRAININGS.items()]
    return pytest.mark.parametrize("verb", marked)


class Unsteady(datetime):
    """A clock that is hours off, differently at every look."""

    @classmethod
    def now(cls, zone=None):
        return datetime.now(zone) + timedelta(hours=random.randint(-12, 12))


def unsteady_clock():
    right = time.time
    time.time = lambda: right() + 3600 * random.randint(-12, 12)
    provenance.datetime = Unsteady


def set_ages(folder, hours):
    for path in folder.rglob("*"):
        os.utime(path, (time.time() + 3600 * hours,) * 2)


@of_both("the clock jumps back and forth by hours")
def test_clock_that_jumps(make_run, undisturbed, at_step, verb, outcome):
    run, stops = make_run(verb), (3, 6, 9)
    for step, hours in zip(stops, (10, -10, 100), strict=True):
        stopped = at_step(verb, step, lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert run.finish(before=lambda stopped=stopped: (unsteady_clock(), stopped()))[0] == -signal.SIGKILL
        set_ages(run.state, hours)
    assert run.finish(before=unsteady_clock)[0] == 0
    assert "continues after step 9" in run.said.read_text()
    assert run.contents() == undisturbed(verb)
    outcome(
        f"nothing: {len(stops)} kills, with the ages of all files changed by up to 100 hours after each, and the bytes "
        "are those of an undisturbed run (intervals come from a clock that cannot be set)"
    )


@of_both("two runs on the same state at once")
def test_two_runs_on_one_state(make_run, undisturbed, at_step, tmp_path, verb, outcome):
    run, go = make_run(verb), tmp_path / "go"

    def wait():
        while not go.exists():
            time.sleep(0.01)

    first = run.start(before=at_step(verb, 5, wait))
    while len(checkpoint_files(run.state)) < 2:
        time.sleep(0.01)
    for _ in range(3):
        assert "another process runs on this state; wait for it or stop it" in only_line(run)
    go.touch()
    first.join(120)
    assert first.exitcode == 0
    assert run.contents() == undisturbed(verb)
    outcome("the second refuses in one line (3 of 3), and the first ends with the bytes of an undisturbed run")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux holds a process to a limit of its memory")
@of_both("less memory than it needs (`ulimit -v`)")
def test_too_little_memory(make_run, verb, outcome):
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    run = make_run(verb, network=Network(cells=3, channels={"search": 96, "retrain": 256}[verb]))
    limits = [held + room * 2**20 for room in range(8, 168, 16)]
    for limit in limits:
        code, said = run.finish(before=lambda limit=limit: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)))
        assert code == 2, said
        assert "out of memory (" in said[-1]
        assert "batch_size" in said[-1]
        assert not any("Traceback" in line for line in said)
    outcome(
        f"one line that says which settings to lower, or to give more memory ({len(limits)} of {len(limits)} limits)"
    )


@pytest.mark.fault("search", "the newest checkpoint is damaged")
def test_a_damaged_checkpoint(make_run, undisturbed, at_step, outcome):
    run, kinds = make_run("search"), ("cut", "empty", "one bit")
    for number, kind in enumerate(kinds):
        stopped = at_step("search", 3 * number + 3, lambda: os.kill(os.getpid(), signal.SIGKILL))
        assert run.finish(before=stopped)[0] == -signal.SIGKILL
        newest = checkpoint_files(run.state)[-1]
        whole = newest.read_bytes()
        changed = {"cut": whole[:-1], "empty": b"", "one bit": whole[:-1] + bytes([whole[-1] ^ 1])}
        newest.write_bytes(changed[kind])
    code, said = run.finish()
    assert code == 0
    assert "is damaged, kept as step-000000000009.damaged; continuing from step-000000000008.pt" in said[0]
    assert run.contents() == undisturbed("search")
    outcome(
        f"a warning, and the run goes on from the one before ({len(kinds)} of {len(kinds)}: {', '.join(kinds)}) to the "
        "bytes of an undisturbed run"
    )
