"""What SLURM tells a process of a job about the nodes that the job has."""

import os
import re
import shutil
import subprocess
from typing import NamedTuple, NoReturn

from parsec.errors import LaunchError


class Step(NamedTuple):
    """A job step that runs one process on each of its nodes."""

    nodes: int
    number: int
    """Which of the nodes this is, from 0."""
    name: str
    """What no other step, and no other attempt of this one, is called."""
    port: int
    """Where the processes meet on the first node; unlikely to be that of another job there."""


def step() -> Step | None:
    """The step that this process is a part of, if it has several nodes.

    Raises:
        LaunchError: the step has more processes than nodes.
    """
    given = os.environ
    nodes = int(given.get("SLURM_STEP_NUM_NODES", 1))
    if nodes == 1:
        return None
    if int(given["SLURM_STEP_NUM_TASKS"]) != nodes:
        raise LaunchError(
            f"srun started {given['SLURM_STEP_NUM_TASKS']} processes on {nodes} nodes; one a node is needed, which "
            "starts the ranks there: give srun --ntasks-per-node=1"
        )
    job, number = given["SLURM_JOB_ID"], given["SLURM_STEP_ID"]
    name = f"{job}.{number}-{given.get('SLURM_RESTART_COUNT', 0)}"
    return Step(nodes, int(given["SLURM_NODEID"]), name, 15000 + (31 * int(job) + int(number)) % 15000)


def other_nodes() -> bool:
    """Whether the job has nodes on which the step of this process has no part."""
    if int(os.environ.get("SLURM_STEP_NUM_NODES", 1)) > 1 or "SLURM_JOB_ID" not in os.environ:
        return False
    # Inside a container SLURM's commands may be missing, and with them the way to other nodes.
    return shutil.which("scontrol") is not None and int(_of_job("NumNodes")) > 1


def on_all_nodes(command: list[str]) -> NoReturn:
    """Become `srun`, which runs a command once on each node of the job, hands on signals and ends as they do."""
    nodes, processors = _of_job("NumNodes"), _of_job("CPUs/Task")
    options = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={processors}"]
    # A step that runs this process already holds what the new one needs, and waits for it.
    os.execvp("srun", ["srun", "--overlap", "--kill-on-bad-exit=1", *options, *command])


def _of_job(name: str) -> str:
    """A property of the job; asked for, because Snakemake keeps little of what SLURM tells from its jobs."""
    return _property(name, "job", os.environ["SLURM_JOB_ID"])


def first_address() -> str:
    """Address by which SLURM itself reaches the first node of this step; names need not resolve."""
    return address(_lines("scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"])[0])


def address(node: str) -> str:
    """Address by which SLURM itself reaches a node."""
    return _property("NodeAddr", "node", node)


def _property(name: str, kind: str, which: str) -> str:
    """What `scontrol` says of a job or node."""
    found = re.search(rf"(?<!\S){name}=(\S+)", "\n".join(_lines("scontrol", "--oneliner", "show", kind, which)))
    if found is None:
        raise LaunchError(f"scontrol tells no {name} of {kind} {which}; ask for one node, or mend SLURM there")
    return found.group(1)


def _lines(*command: str) -> list[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise LaunchError(f"several nodes need SLURM's {command[0]}, which failed here: {reason}".strip()) from error
