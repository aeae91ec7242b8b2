"""Processes that tests start, stop in the middle of their work and look into, however busy the machine is."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
from workspace import PROFILE, Workspace

ATTEMPTS = 20
"""How often a run is begun again that ended before it could be stopped."""


def below(process: subprocess.Popen[Any], verb: str = "") -> list[psutil.Process]:
    """All processes below a started one, or those that run a verb of the package; who ends meanwhile is left out."""
    matching = []
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if not verb or child.cmdline()[1:4] == ["-m", "parsec", verb]:
                    matching.append(child)
    return matching


def variable(process: psutil.Process, name: str) -> str | None:
    """A variable of a process's environment; None if it is not set or the process has ended."""
    with suppress(psutil.Error):
        return process.environ().get(name)
    return None


def freeze(process: psutil.Process) -> bool:
    """Stop a process until it is resumed; False if it has ended."""
    with suppress(psutil.Error):
        process.suspend()
        while process.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
            time.sleep(0.001)
        return process.status() == psutil.STATUS_STOPPED
    return False


def thaw(processes: list[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.Error):
            process.resume()


def rows(state: Path) -> int:
    """Rows of metrics that a training has written."""
    path = state / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


@contextmanager
def caught(
    begin: Callable[[int], tuple[subprocess.Popen[Any], Path]], least: int, most: int
) -> Iterator[tuple[subprocess.Popen[Any], Path]]:
    """A training in the middle of its work, all its processes stopped; they go on, or end, after the block.

    `begin(attempt)` starts it and gives its state folder. One that is further than `most` rows of metrics, because the
    machine did not let us look in time, is let go, and another one is begun.
    """
    for attempt in range(ATTEMPTS):
        process, state = begin(attempt)
        while process.poll() is None and rows(state) < least:
            time.sleep(0.005)
        stopped = []
        if process.poll() is None:
            stopped = [each for each in [psutil.Process(process.pid), *below(process)] if freeze(each)]
        try:
            if stopped and least <= rows(state) <= most:
                yield process, state
                return
        finally:
            thaw(stopped)
        said = process.communicate()
        assert process.returncode == 0, said
    raise AssertionError(f"never caught between {least} and {most} rows")


def caught_search(
    workspace: Workspace, target: str, ready: Callable[[], bool] = lambda: True
) -> tuple[subprocess.Popen[str], psutil.Process]:
    """Snakemake, just started, and its search, stopped while it is `ready`; begun again if it had ended before."""
    for _ in range(ATTEMPTS):
        process = workspace.start(*PROFILE, target)
        while process.poll() is None:
            for search in below(process, "search"):
                if ready() and freeze(search):
                    if ready():
                        return process, search
                    thaw([search])
            time.sleep(0.005)
        said = process.communicate()
        assert process.returncode == 0, said
        shutil.rmtree(workspace.results / "search")
    raise AssertionError("every search ended before it was stopped")
