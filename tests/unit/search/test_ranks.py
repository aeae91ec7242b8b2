"""A search on two ranks: the numbers of one rank, and no byte lost when ranks are stopped or killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest

from parsec.search.parsec import Parsec
from parsec.settings.jobs import as_json
from parsec.settings.search import Estimator

FILES = ("pi.parquet", "trajectory.parquet", "genotype.json")
THREE = Estimator(samples=3)


def first_steps(trainer):
    rows = [row for _ in range(3) for row in trainer.advance()] + trainer.flush()
    numbers = [[value for value in row.values() if isinstance(value, float)] for row in rows if row["event"] == "step"]
    return numbers, trainer.children, trainer.prior.logits.tolist()


def test_the_trainer_does_not_know_of_ranks(make_task, on_ranks):
    """Same rows and same π on all ranks; those of one rank but for float32 rounding."""
    numbers, children, logits = first_steps(Parsec(make_task(estimator=THREE)))
    one, other = on_ranks(2, lambda ranks: first_steps(Parsec(replace(make_task(estimator=THREE), ranks=ranks))))
    assert one == other
    assert one[1] == children
    for found, expected in zip([*one[0], *one[2]], [*numbers, *logits], strict=True):
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.fixture(scope="module")
def begin(digits, tmp_path_factory):
    """A function name, seconds between checkpoints → a search of that name on two ranks, as a user starts it."""
    folder = tmp_path_factory.mktemp("ranks")

    def start(job, name, checkpoint_seconds="600"):
        command = [sys.executable, "-m", "parsec", "search", "--settings", as_json(job), "--data", digits]
        command += ["--seed", "0", "--output", folder / name, "--state", folder / f"{name}-state"]
        command += ["--threads", "2", "--ranks", "2", "--log", folder / f"{name}.log"]
        environment = {**os.environ, "PARSEC_CHECKPOINT_SECONDS": checkpoint_seconds, "PARSEC_PROGRESS_SECONDS": "0"}
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment), folder / name

    return start


def ranks_of(launcher):
    """The processes of both ranks, in order."""
    found = psutil.Process(launcher.pid).children(recursive=True)
    ranks = {process.environ()["RANK"]: process for process in found if "search" in process.cmdline()}
    return [ranks["0"], ranks["1"]]


@pytest.fixture(scope="module")
def job(make_job):
    """A search of 24 steps."""
    return make_job(epochs=8, estimator=THREE)


def finished(begin, job, name, restarts):
    """What a search leaves when it runs, or is continued, to its end."""
    process, output = begin(job, name)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    cost = json.loads((output / "result.json").read_text())["cost"]
    assert (cost["ranks"], cost["restarts"]) == (2, restarts)
    return {file: (output / file).read_bytes() for file in FILES}


@pytest.fixture(scope="module")
def undisturbed(begin, job):
    """What the search leaves when nobody disturbs it."""
    return finished(begin, job, "undisturbed", 0)


def test_a_signal_to_one_rank_stops_both_and_the_same_command_continues(begin, job, undisturbed, wait_for_rows):
    process, output = begin(job, "stopped")
    wait_for_rows(output, process, 3)
    ranks_of(process)[1].terminate()
    said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM, said
    lines = [line.partition("stopped by signal 15, saved at ")[2] for line in said.splitlines()]
    first, second = filter(None, lines)
    assert first == second
    assert "Traceback" not in said
    assert finished(begin, job, "stopped", 1) == undisturbed


def test_a_killed_rank_ends_the_other_and_the_same_command_continues(begin, job, undisturbed, wait_for_rows):
    process, output = begin(job, "killed", "0")
    wait_for_rows(output, process, 5)
    ranks_of(process)[1].kill()
    said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGKILL, said
    assert "another rank of this run ended" in said
    assert not output.exists()
    assert finished(begin, job, "killed", 1) == undisturbed


def test_ranks_outlive_no_launcher(begin, make_job, wait_for_rows):
    """Nobody would stop them, and the next attempt would find the state in use; so they save and end."""
    process, output = begin(make_job(epochs=2000), "orphaned")
    wait_for_rows(output, process, 3)
    ranks = ranks_of(process)
    process.kill()
    _, alive = psutil.wait_procs(ranks, timeout=60)
    assert not alive
    assert "saved at step" in process.communicate()[1]
