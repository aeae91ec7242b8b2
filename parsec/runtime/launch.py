"""The launcher: a command of this package as several ranks, through the API behind `torchrun`."""

import logging
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any

from parsec.errors import LaunchError, RankLostError
from parsec.runtime import slurm

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
    """Run `python -m parsec` with these arguments as `count` ranks and wait for their end.

    In a SLURM job of several nodes the ranks are shared out over all of them: the first process starts itself on each
    node, and these start the ranks there. Elsewhere all are started here.

    Returns the exit code of the rank that failed first here, 128 + n after signal n, or 0.

    Raises:
        LaunchError: the nodes cannot have equally many ranks, or cannot find each other.
        RankLostError: another node is gone.
    """
    if slurm.other_nodes():
        slurm.on_all_nodes([sys.executable, "-m", _PACKAGE, *arguments])
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
    step = slurm.step()
    if step is None:
        here = {"rdzv_endpoint": "localhost:0", "run_id": secrets.token_hex(8)}
        return {"min_nodes": 1, "max_nodes": 1, "nproc_per_node": count, **here}
    if count % step.nodes:
        raise LaunchError(f"--ranks: {count} cannot be shared out equally over {step.nodes} nodes; give a multiple")
    return {
        "min_nodes": step.nodes,
        "max_nodes": step.nodes,
        "nproc_per_node": count // step.nodes,
        "rdzv_endpoint": f"{slurm.first_address()}:{step.port}",
        "rdzv_configs": {"is_host": step.number == 0},
        "run_id": step.name,
        "local_addr": slurm.address(os.environ["SLURMD_NODENAME"]),
    }


def _silence(package: str) -> None:
    """Ranks say themselves why they end; the launcher's own account of it would bury that."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith(package)]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
