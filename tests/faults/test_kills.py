"""SIGKILL at random moments, inside a save and while outputs are written: every run ends with the same bytes."""

import json
import multiprocessing
import random
import signal
import time
from collections import Counter

import pytest

from parsec.runtime import loop
from parsec.runtime.checkpoint import Checkpoints
from parsec.runtime.outputs import MARKER

KILLS = 110
"""Of each kind of training."""
WORKING, SAVING, ENDING = 0, 1, 2
MOMENTS = [(WORKING, 0.2), (SAVING, 0.004), (WORKING, 0.5), (SAVING, 0.001), (WORKING, 0.3), (ENDING, 0.05)]
"""What a run must be doing before it is killed, and the seconds that may still pass."""


def watched(phase):
    """What a child calls first: it then says at any time what it is doing."""

    def before():
        save, run = Checkpoints.save, loop.fit

        def watched_save(self, step, state):
            phase.value = SAVING
            save(self, step, state)
            phase.value = WORKING

        def watched_run(*given):
            spent = run(*given)
            phase.value = ENDING
            return spent

        Checkpoints.save, loop.fit = watched_save, watched_run

    return before


def kill_once(run, moment, seconds):
    """Start a run and kill it; its exit code, and what it was doing at its end."""
    phase = multiprocessing.Value("i", WORKING, lock=False)
    process = run.start("--cache-outputs", before=watched(phase))
    while process.is_alive() and moment != WORKING and phase.value != moment:
        time.sleep(0.0002)
    process.join(random.uniform(0.0, seconds))
    process.kill()
    process.join()
    return process.exitcode, phase.value


def killed_to_the_end(run, expected, killed):
    """Kill a run again and again until it has ended or was killed often enough; then let it end."""
    for moment, seconds in MOMENTS * KILLS:
        if killed.total() == KILLS:
            break
        code, doing = kill_once(run, moment, seconds)
        if code == 0:
            break
        assert code == -signal.SIGKILL, run.said.read_text()
        killed[doing] += 1
        # Whatever is there under its final name is whole and right.
        assert run.contents().items() <= expected.items()
    assert run.finish("--cache-outputs")[0] == 0
    assert run.contents() == expected
    assert [path.name for path in run.output.glob(".*")] == [MARKER]
    assert {path.name for path in run.state.iterdir()} == {MARKER, "finished", "lock", "run.lock"}
    return json.loads((run.output / "result.json").read_text())["cost"]["restarts"]


def tell(outcome, ended, killed, restarts):
    outcome(
        f"{ended} runs were killed {killed.total()} times, {killed[SAVING]} times inside a save and {killed[ENDING]} "
        f"times while they wrote outputs; {restarts} restarts went on from a checkpoint, and all ended with the bytes "
        "of an undisturbed run; no output was ever seen half-written"
    )


def kill_many(verb, make_run, expected):
    killed, restarts, ended = Counter(), 0, 0
    while killed.total() < KILLS:
        ended += 1
        restarts += killed_to_the_end(make_run(verb, f"run{ended}"), expected, killed)
    assert killed[SAVING] >= 10
    assert killed[ENDING] >= 1
    assert restarts >= 10
    return ended, killed, restarts


@pytest.mark.fault("search", "SIGKILL at random moments")
def test_killed_searches(make_run, undisturbed, outcome):
    tell(outcome, *kill_many("search", make_run, undisturbed("search")))


@pytest.mark.fault("retraining", "SIGKILL at random moments")
def test_killed_trainings(make_run, undisturbed, outcome):
    tell(outcome, *kill_many("retrain", make_run, undisturbed("retrain")))
