"""Ranks over the nodes of a SLURM job, which here are processes with the variables that SLURM sets."""

import json
import os
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest

from parsec.errors import LaunchError
from parsec.runtime import launch as slurm
from parsec.runtime.launch import launch

SCONTROL = """#!/bin/sh
case "$*" in
  "show hostnames n[1-2]") printf 'n1\\nn2\\n' ;;
  "--oneliner show node n"*) echo "NodeName=$4 NodeAddr=127.0.0.1 NodeHostName=elsewhere" ;;
  "--oneliner show job 41") echo "JobId=41 JobName=x NumNodes=2 NumCPUs=6 NumTasks=2 CPUs/Task=3" ;;
  "--oneliner show job 40") echo "JobId=40 JobName=x NumNodes=1 NumCPUs=3 NumTasks=1 CPUs/Task=3" ;;
  *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"""
CALL = "from parsec.runtime import launch; launch._PACKAGE = 'ranked'; raise SystemExit(launch.launch({}, []))"
# Ranks share a pipe, so that a line must be written at once.
SAY = """
import json, os
os.write(1, json.dumps([os.environ[n] for n in ("RANK", "WORLD_SIZE", "LOCAL_RANK")]).encode() + b"\\n")
"""
TALK = """
import torch
from parsec.errors import RankLostError
from parsec.runtime.distributed import init_distributed
with init_distributed(torch.device("cpu")) as ranks:
    ranks.all_reduce_max()
    print("here", flush=True)
    try:
        while True:
            ranks.all_reduce_max()
    except RankLostError as error:
        print(error)
        raise SystemExit(2)
"""


@pytest.fixture
def node(tmp_path, monkeypatch):
    """Variables of the first of two nodes, with SLURM's `scontrol` on the path."""
    tool = tmp_path / "bin" / "scontrol"
    tool.parent.mkdir()
    tool.write_text(SCONTROL)
    tool.chmod(0o755)
    step = {"STEP_NUM_NODES": "2", "STEP_NUM_TASKS": "2", "STEP_NODELIST": "n[1-2]", "STEP_ID": "0", "NODEID": "0"}
    for name, value in {**step, "JOB_ID": "41"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setenv("PATH", f"{tool.parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def start(node, tmp_path):
    """A function node, code, ranks of both → a launcher on that node, whose ranks run the code, not the package."""

    def begin(number, code, ranks):
        (tmp_path / "ranked").mkdir(exist_ok=True)
        (tmp_path / "ranked" / "__main__.py").write_text(code)
        path = os.pathsep.join([str(tmp_path), os.environ["PYTHONPATH"]])
        here = {"SLURM_NODEID": str(number), "SLURMD_NODENAME": f"n{number + 1}", "PYTHONPATH": path}
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([sys.executable, "-c", CALL.format(ranks)], env={**os.environ, **here}, **streams)

    return begin


def test_ranks_are_split_across_nodes(start):
    said = [process.communicate(timeout=120) for process in (start(1, SAY, 4), start(0, SAY, 4))]
    nodes = [sorted(json.loads(line) for line in out.splitlines()) for out, _ in said]
    assert [len(ranks) for ranks in nodes] == [2, 2], said
    assert sorted(rank for ranks in nodes for rank, _, _ in ranks) == ["0", "1", "2", "3"]
    assert [[place[1:] for place in ranks] for ranks in nodes] == [[["4", "0"], ["4", "1"]]] * 2


@pytest.mark.fault("search", "one of two nodes dies with its launcher and its rank")
@pytest.mark.parametrize("lost", [0, 1])
def test_lost_node_ends_the_other(start, lost, outcome):
    nodes = [start(number, TALK, 2) for number in (0, 1)]
    assert [process.stdout.readline() for process in nodes] == ["here\n"] * 2
    victim, survivor = psutil.Process(nodes[lost].pid), nodes[1 - lost]
    for process in [victim, *victim.children(recursive=True)]:
        with suppress(psutil.Error):
            process.kill()
    said, errors = survivor.communicate(timeout=120)
    # Either notices first: the rank that its peer is gone, or the launcher that the place where nodes meet is.
    assert "another rank of this run ended" in said or "RankLostError" in errors
    assert survivor.returncode != 0, errors
    nodes[lost].communicate()
    outcome("the ranks and the launcher of the other end with an error, whichever of the two it was")


def test_other_steps_have_one_node(node, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "1")
    assert slurm._rendezvous(2)["max_nodes"] == 1
    assert slurm.other_nodes()
    monkeypatch.setenv("SLURM_JOB_ID", "40")
    assert not slurm.other_nodes()
    monkeypatch.delenv("SLURM_JOB_ID")
    assert not slurm.other_nodes()


def test_step_names_are_unique(node, monkeypatch):
    names = {slurm._rendezvous(2)["run_id"]}
    for variable, value in (("SLURM_STEP_ID", "1"), ("SLURM_JOB_ID", "42"), ("SLURM_RESTART_COUNT", "1")):
        monkeypatch.setenv(variable, value)
        names.add(slurm._rendezvous(2)["run_id"])
    assert len(names) == 4
    assert 1024 < int(slurm._rendezvous(2)["rdzv_endpoint"].partition(":")[2]) < 32768


def test_uneven_ranks_are_refused(node, monkeypatch):
    with pytest.raises(LaunchError, match=r"--ranks: 3 .* 2 nodes"):
        launch(3, [])
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(LaunchError, match="--ntasks-per-node=1"):
        launch(4, [])


def test_failing_scontrol_is_one_line(node, monkeypatch):
    monkeypatch.setenv("SLURM_STEP_NODELIST", "unheard-of")
    with pytest.raises(LaunchError, match="scontrol, which failed here: unexpected: show hostnames"):
        launch(2, [])


def test_job_starts_on_every_node(node, monkeypatch):
    """One step of one node calls srun, with what it was called with."""
    monkeypatch.setenv("SLURM_STEP_NUM_NODES", "1")
    called = []
    monkeypatch.setattr(os, "execvp", lambda file, command: called.append(command) or exec_stands_in())
    with pytest.raises(ZeroDivisionError):
        launch(2, ["search", "--ranks", "2"])
    (command,) = called
    assert command[-6:] == [sys.executable, "-m", "parsec", "search", "--ranks", "2"]
    assert {"--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=3"} < set(command)


def exec_stands_in():
    """`exec` does not come back either."""
    raise ZeroDivisionError
