"""The launcher: a command of this package as several ranks, through the API behind `torchrun`."""

import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from parsec.errors import LaunchError, RankLostError


class Step(NamedTuple):
    """A job step that runs one process on each of its nodes."""

    nodes: int
    number: int
    """Which of the nodes this is, from 0."""
    name: str
    """What no other step, and no other attempt of this one, is called."""
    port: int
    """Where the processes meet on the first node; unlikely to be that of another job there."""


def current_step() -> Step | None:
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


_PACKAGE = __name__.partition(".")[0]
RANKED = "TORCHELASTIC_RUN_ID"
"""Variable that `torchrun` sets for every process that it starts."""
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
"""Signals to the launcher that reach every rank."""
SECONDS_TO_SAVE = "300"
"""How long ranks may take to end after a signal before they are killed."""


def rank() -> int:
    """Number of this process among those that a launcher started; 0 if it was started alone."""
    return int(os.environ["RANK"]) if RANKED in os.environ else 0


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `parsec` with these arguments as `count` ranks and wait for their end.

    In a SLURM job of several nodes the ranks are shared out over all of them: the first process starts itself on each
    node, and these start the ranks there. Elsewhere all are started here.

    Returns the exit code of the rank that failed first here, 128 + n after signal n, or 0.

    Raises:
        LaunchError: the nodes cannot have equally many ranks, or cannot find each other.
        RankLostError: another node is gone.
    """
    if other_nodes():
        on_all_nodes([sys.executable, "-m", _PACKAGE, *arguments])
    # The C++ side of torch would print its stack where a node is lost.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _silence("torch.distributed")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SECONDS_TO_SAVE)
    config = LaunchConfig(**_meeting(count), rdzv_backend="c10d", max_restarts=0, signals_to_handle=SIGNALS)
    try:
        elastic_launch(config, sys.executable)("-m", _PACKAGE, *arguments)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as error:
        return 128 + int(error.sigval)
    except RendezvousError as error:
        raise RankLostError(
            "the node on which this run's nodes met is gone; the same command continues from the last checkpoint"
        ) from error
    return 0


def _meeting(count: int) -> dict[str, Any]:
    """How many ranks this process starts, on how many nodes, and where the nodes meet."""
    step = current_step()
    if step is None:
        here = {"rdzv_endpoint": "localhost:0", "run_id": secrets.token_hex(8)}
        return {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": count, **here}
    if count % step.nodes:
        raise LaunchError(f"--ranks: {count} cannot be shared out equally over {step.nodes} nodes; give a multiple")
    return {
        "min_nodes": step.nodes,
        "max_nodes": step.nodes,
        "nproc_per_node": count // step.nodes,
        "rdzv_endpoint": f"{first_address()}:{step.port}",
        "rdzv_configs": {"is_host": step.number == 0},
        "run_id": step.name,
        "local_addr": address(os.environ["SLURMD_NODENAME"]),
    }


def _silence(package: str) -> None:
    """Ranks say themselves why they end; the launcher's own account of it would bury that."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith(package)]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
