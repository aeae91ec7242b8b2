"""A search on two ranks: the numbers of one rank, and no byte lost when ranks are stopped or killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
from job_file import job_file
from processes import below, caught, variable

from parsec.config.base import as_json
from parsec.config.search import Estimator
from parsec.search.parsec import Parsec

FILES = ("pi.parquet", "trajectory.parquet", "genotype.json")
THREE = Estimator(samples=3)


def first_steps(trainer):
    rows = [row for _ in range(3) for row in trainer.advance()] + trainer.flush()
    numbers = [[value for value in row.values() if isinstance(value, float)] for row in rows if row["event"] == "step"]
    return numbers, trainer.children, trainer.prior.logits.tolist()


def test_ranks_give_equal_searches(make_task, on_ranks):
    """Same rows and same π on all ranks; those of one rank but for float32 rounding."""
    numbers, children, logits = first_steps(Parsec(make_task(estimator=THREE)))
    one, other = on_ranks(2, lambda ranks: first_steps(Parsec(replace(make_task(estimator=THREE), ranks=ranks))))
    assert one == other
    assert one[1] == children
    for actual, expected in zip([*one[0], *one[2]], [*numbers, *logits], strict=True):
        assert actual == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.fixture(scope="module")
def begin(digits, tmp_path_factory):
    """A function name, seconds between checkpoints → a search of that name on two ranks, as a user starts it."""
    folder = tmp_path_factory.mktemp("ranks")

    def start(job, name, checkpoint_seconds="600"):
        command = [sys.executable, "-m", "parsec", "search", "--settings", job_file(folder, as_json(job))]
        command += ["--data", digits, "--seed", "0", "--output", folder / name, "--state", folder / f"{name}-state"]
        command += ["--threads", "2", "--ranks", "2", "--log", folder / f"{name}.log"]
        environment = {**os.environ, "PARSEC_CHECKPOINT_SECONDS": checkpoint_seconds, "PARSEC_PROGRESS_SECONDS": "0"}
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        return process, folder / f"{name}-state"

    return start


def ranks_of(launcher):
    """The processes of both ranks, in order."""
    ranks = {variable(process, "RANK"): process for process in below(launcher, "search")}
    return [ranks["0"], ranks["1"]]


@pytest.fixture(scope="module")
def job(make_job):
    """A search of 24 steps, each with a row of metrics."""
    return make_job(epochs=8, estimator=THREE)


def output_of(state):
    return state.with_name(state.name.removesuffix("-state"))


def finished(begin, job, name, restarts):
    """What a search leaves when it runs, or is continued, to its end."""
    process, state = begin(job, name)
    said = process.communicate()[1]
    assert process.returncode == 0, said
    output = output_of(state)
    cost = json.loads((output / "result.json").read_text())["cost"]
    assert (cost["ranks"], cost["restarts"]) == (2, restarts)
    return {file: (output / file).read_bytes() for file in FILES}


@pytest.fixture(scope="module")
def undisturbed(begin, job):
    """What the search leaves when nobody disturbs it."""
    return finished(begin, job, "undisturbed", 0)


def test_signal_to_one_rank(begin, job, undisturbed):
    with caught(lambda attempt: begin(job, f"stopped{attempt}"), 3, 20) as (process, state):
        ranks_of(process)[1].terminate()
    said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGTERM, said
    lines = [line.partition("stopped by signal 15, saved at ")[2] for line in said.splitlines()]
    first, second = filter(None, lines)
    assert first == second
    assert "Traceback" not in said
    assert finished(begin, job, output_of(state).name, 1) == undisturbed


def test_killed_rank(begin, job, undisturbed):
    with caught(lambda attempt: begin(job, f"killed{attempt}", "0"), 5, 20) as (process, state):
        ranks_of(process)[1].kill()
    said = process.communicate()[1]
    assert process.returncode == 128 + signal.SIGKILL, said
    assert "another rank of this run ended" in said
    assert not output_of(state).exists()
    assert finished(begin, job, output_of(state).name, 1) == undisturbed


def test_ranks_end_with_launcher(begin, make_job):
    """Nobody would stop them, and the next attempt would find the state in use; so they save and end."""
    with caught(lambda attempt: begin(make_job(epochs=2000), f"orphaned{attempt}"), 3, 5000) as (process, _):
        ranks = ranks_of(process)
        process.kill()
    _, alive = psutil.wait_procs(ranks, timeout=300)
    assert not alive
    assert "saved at step" in process.communicate()[1]
