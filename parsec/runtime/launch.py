"""Launcher: runs a command of this package as several ranks, with the API behind `torchrun`, also over SLURM nodes."""

import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from parsec.errors import LaunchError, RankLostError


def other_nodes() -> bool:
    """Whether the job has nodes that the step of this process does not use."""
    if int(os.environ.get("SLURM_STEP_NUM_NODES", 1)) > 1 or "SLURM_JOB_ID" not in os.environ:
        return False
    # Without SLURM's commands, as in some containers, there is no way to the other nodes.
    return shutil.which("scontrol") is not None and int(_job_property("NumNodes")) > 1


def on_all_nodes(command: list[str]) -> NoReturn:
    """Replace this process by `srun`, which runs a command on every node and forwards signals and exit codes."""
    nodes, processors = _job_property("NumNodes"), _job_property("CPUs/Task")
    options = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1", f"--cpus-per-task={processors}"]
    # --overlap: the step of this process holds the resources that the new one needs.
    os.execvp("srun", ["srun", "--overlap", "--kill-on-bad-exit=1", *options, *command])


def _job_property(name: str) -> str:
    """Property of the job; asked of SLURM, because Snakemake passes few of SLURM's variables on to its jobs."""
    return _property(name, "job", os.environ["SLURM_JOB_ID"])


def _property(name: str, kind: str, which: str) -> str:
    """Property of a job or node, according to `scontrol`."""
    match = re.search(rf"(?<!\S){name}=(\S+)", "\n".join(_lines("scontrol", "--oneliner", "show", kind, which)))
    if match is None:
        raise LaunchError(f"scontrol reports no {name} of {kind} {which}; ask for one node, or fix SLURM there")
    return match.group(1)


def _lines(*command: str) -> list[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    except (OSError, subprocess.SubprocessError) as error:
        reason = getattr(error, "stderr", None) or error
        raise LaunchError(f"several nodes need SLURM's {command[0]}, which failed here: {reason}".strip()) from error


_PACKAGE = __name__.partition(".")[0]
RANKED = "TORCHELASTIC_RUN_ID"
"""Environment variable that `torchrun` sets for the processes that it starts."""
SIGNALS = "SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1"
"""Signals that the launcher forwards to every rank."""
SECONDS_TO_SAVE = "300"
"""Seconds that ranks have to save after a signal before they are killed."""


def rank() -> int:
    """Rank of this process among those that a launcher started; 0 without a launcher."""
    return int(os.environ["RANK"]) if RANKED in os.environ else 0


def launch(count: int, arguments: Sequence[str]) -> int:
    """Run `parsec` with these arguments as `count` ranks and wait for them.

    In a SLURM job of several nodes the ranks are split across all of them: the first process starts itself on every
    node, and these processes start the ranks there. Otherwise all ranks run here.

    Returns 0, or the exit code of the rank that failed first on this node: 128 + n after signal n.

    Raises:
        LaunchError: the ranks cannot be split equally across the nodes, or the nodes cannot find each other.
        RankLostError: another node is lost.
    """
    if other_nodes():
        on_all_nodes([sys.executable, "-m", _PACKAGE, *arguments])
    # Otherwise torch's C++ code prints its stack when a node is lost.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.elastic.rendezvous import RendezvousError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # Ranks report themselves why they end; the launcher's own report would bury that.
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("torch.distributed")]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SECONDS_TO_SAVE)
    config = LaunchConfig(**_rendezvous(count), rdzv_backend="c10d", max_restarts=0, signals_to_handle=SIGNALS)
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


def _rendezvous(count: int) -> dict[str, Any]:
    """Options of the launcher: ranks that this process starts, number of nodes, and where the nodes meet."""
    nodes = int(os.environ.get("SLURM_STEP_NUM_NODES", 1))
    if nodes == 1:
        # A free port and a random name, so that runs on one machine do not meet.
        local = {"rdzv_endpoint": "localhost:0", "run_id": secrets.token_hex(8)}
        return {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": count, **local}
    if int(os.environ["SLURM_STEP_NUM_TASKS"]) != nodes:
        raise LaunchError(
            f"srun started {os.environ['SLURM_STEP_NUM_TASKS']} processes on {nodes} nodes; one per node is needed, "
            "which starts the ranks there: give srun --ntasks-per-node=1"
        )
    if count % nodes:
        raise LaunchError(f"--ranks: {count} cannot be shared out equally over {nodes} nodes; give a multiple")
    job, step = os.environ["SLURM_JOB_ID"], os.environ["SLURM_STEP_ID"]
    first = _lines("scontrol", "show", "hostnames", os.environ["SLURM_STEP_NODELIST"])[0]
    # A port that is unlikely to be another job's there.
    port = 15000 + (31 * int(job) + int(step)) % 15000
    return {
        "min_nodes": nodes,
        "max_nodes": nodes,
        "nproc_per_node": count // nodes,
        "rdzv_endpoint": f"{_address(first)}:{port}",
        "rdzv_configs": {"is_host": int(os.environ["SLURM_NODEID"]) == 0},
        # Unique among steps and attempts of a step.
        "run_id": f"{job}.{step}-{os.environ.get('SLURM_RESTART_COUNT', 0)}",
        "local_addr": _address(os.environ["SLURMD_NODENAME"]),
    }


def _address(node: str) -> str:
    """Address at which SLURM reaches a node of this step; host names need not resolve."""
    return _property("NodeAddr", "node", node)
