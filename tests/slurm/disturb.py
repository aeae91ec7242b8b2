"""A search on the cluster, ways to disturb it, and what came of it."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from processes import freeze
from slurm.cluster import Cluster, wait_until
from workspace import Workspace

FOLDER = "search/digits/parsec/seed0"
TARGET = f"results/{FOLDER}/pi.parquet"
PROFILE = ("--workflow-profile", "workflow/profiles/slurm", "--slurm-init-seconds-before-status-checks", "2")
PATIENCE = 600


@dataclass(frozen=True)
class Story:
    """How a search ended."""

    code: int
    said: str
    """Exit code and words of the last call of Snakemake."""
    logs: str
    """What the search and SLURM said of jobs that failed."""
    states: tuple[str, ...]
    """How its SLURM jobs ended, in the order of their submission."""
    continued: tuple[int, ...]
    """Steps that were done when it was continued."""
    restarts: int
    bytes: bytes
    """The final π."""


@dataclass(frozen=True)
class Search:
    """One search of the tiny chain, run through the project's own profile in a workspace of its own."""

    workspace: Workspace
    cluster: Cluster
    calls: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.workspace.results / f"logs/{FOLDER}.log"

    def start(self, *asked: str, options: tuple[str, ...] = ()) -> subprocess.Popen[str]:
        """Snakemake as a user of a cluster calls it, with some of the search's resources set."""
        resources = [f"search:{each}" for each in ("slurm_partition=first", *asked)]
        self.calls.append(self.workspace.start(*PROFILE, *options, "--set-resources", *resources, "--", TARGET))
        return self.calls[-1]

    def end(self) -> Story:
        """Wait for the last call, and look at what there is."""
        said = self.said()
        folder = self.workspace.results / FOLDER
        result = json.loads((folder / "result.json").read_text())
        steps = tuple(map(int, re.findall(r"continues after step (\d+)", self.log.read_text())))
        states = tuple(state for _, state in self.jobs())
        restarts = result["cost"]["restarts"]
        pi = (folder / "pi.parquet").read_bytes()
        return Story(self.calls[-1].returncode, said, self.logs(), states, steps, restarts, pi)

    def logs(self) -> str:
        """The log of the search, and those that SLURM wrote of its jobs that failed."""
        written = (self.workspace.results / "logs/slurm/rule_search").rglob("*.log")
        return "\n".join(file.read_text() for file in [self.log, *written])

    def said(self) -> str:
        """All that the last call says until it ends."""
        return self.calls[-1].communicate(timeout=PATIENCE)[0]

    def jobs(self) -> list[tuple[int, str]]:
        """Numbers and states of the SLURM jobs that were submitted here, oldest first."""
        lines = self.cluster.run("squeue", "-h", "--states=all", "-o", "%A %T %Z").splitlines()
        rows = [line.split(maxsplit=2) for line in lines]
        return sorted((int(job), state) for job, state, folder in rows if folder == str(self.workspace.work))

    def job(self) -> str:
        """Number of the newest SLURM job."""
        return str(self.jobs()[-1][0])

    def await_state(self, *states: str) -> None:
        """Wait until the newest SLURM job is in one of these states."""
        wait_until(lambda: self.jobs()[-1][1] in states, PATIENCE)

    def hasten(self) -> None:
        """Start the newest SLURM job now: SLURM lets one that it runs again wait for two minutes."""
        self.await_state("PENDING")
        self.cluster.run("scontrol", "update", f"JobId={self.job()}", "StartTime=now")

    @contextmanager
    def frozen(self) -> Iterator[psutil.Process]:
        """The training process, stopped in the middle of its work, so that a fault has the time it needs.

        SLURM wakes processes before it ends them.
        """
        state = self.workspace.results / "state" / FOLDER
        wait_until(lambda: any(state.glob("step-*.pt")), PATIENCE)
        stopped: list[psutil.Process] = []

        def stop() -> bool:
            stopped.extend(process for process in psutil.process_iter() if self._trains(process) and freeze(process))
            return bool(stopped)

        wait_until(stop, PATIENCE)
        yield stopped[0]

    def trains_on(self, node: str) -> bool:
        """Whether a process of the search runs on this node now."""
        return any(map(self._trains, self.cluster.processes(node)))

    def _trains(self, process: psutil.Process) -> bool:
        try:
            return process.cwd() == str(self.workspace.work) and process.cmdline()[1:4] == ["-m", "parsec", "search"]
        except psutil.Error:
            return False

    def stop(self) -> None:
        """End what a failed story left."""
        for call in self.calls:
            if call.poll() is None:
                call.kill()
                call.wait()
