"""The launcher: a command of this package as several ranks on this machine, through the API behind `torchrun`."""

import logging
import os
import secrets
import sys
from collections.abc import Sequence

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

    Returns the exit code of the rank that failed first, 128 + n after signal n, or 0.
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    _silence("torch.distributed")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", SECONDS_TO_SAVE)
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        run_id=secrets.token_hex(8),
        max_restarts=0,
        signals_to_handle=SIGNALS,
    )
    try:
        elastic_launch(config, sys.executable)("-m", __name__.partition(".")[0], *arguments)
    except ChildFailedError as error:
        code = error.get_first_failure()[1].exitcode
        return code if code > 0 else 128 - code
    except SignalException as error:
        return 128 + int(error.sigval)
    return 0


def _silence(package: str) -> None:
    """Ranks say themselves why they end; the launcher's own account of it would bury that."""
    for name in [name for name in logging.root.manager.loggerDict if name.startswith(package)]:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
