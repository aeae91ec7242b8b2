"""Copies of the source tree with results of their own, and ways to run or plan the workflow in them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PROFILE = ("--workflow-profile", "workflow/profiles/default")
SOURCES = ("Snakefile", "workflow", "parsec", "config", "envs")


@dataclass(frozen=True)
class Workspace:
    """A copy of the source tree, and beside it a working directory with the results of its runs."""

    base: Path
    limits: tuple[str, ...] = ("--cores", "1")
    """What Snakemake may use unless a call says otherwise."""

    @property
    def sources(self) -> Path:
        return self.base / "sources"

    @property
    def work(self) -> Path:
        return self.base / "work"

    @property
    def results(self) -> Path:
        return self.work / "results"

    def command(self, *options: str) -> list[str]:
        """Snakemake, called as a user of the clone does, with results elsewhere."""
        start = [sys.executable, "-m", "snakemake", *self.limits, "--directory", str(self.work)]
        return [*start, "--configfile", str(self.base / "settings.yaml"), *options]

    def run(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options), cwd=self.sources, env=environment(), capture_output=True, text=True, timeout=1800
        )

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start Snakemake without waiting for it; all that it says is in `stdout`."""
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(self.command(*options), cwd=self.sources, env=environment(), **streams)

    def planned(self, *options: str) -> dict[str, int]:
        """Jobs that a dry run counts, by rule; `all` is left out."""
        done = self.run("--dry-run", *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return counts(done.stdout + done.stderr)

    def change(self, path: str, value: Any) -> None:
        """Change one key of the settings, given by its path."""
        with self._branch(path) as (branch, last):
            branch[last] = value

    def remove(self, path: str) -> None:
        """Take one key out of the settings, given by its path."""
        with self._branch(path) as (branch, last):
            del branch[last]

    @contextmanager
    def _branch(self, path: str) -> Iterator[tuple[dict[str, Any], str]]:
        """Where a key is in the settings; what is done there is written."""
        file = self.base / "settings.yaml"
        settings = yaml.safe_load(file.read_text())
        *parents, last = path.split(".")
        branch = settings
        for name in parents:
            branch = branch.setdefault(name, {})
        yield branch, last
        file.write_text(yaml.safe_dump(settings))

    def rewrite(self, path: str, change: Callable[[str], str]) -> None:
        """Change the text of a source file."""
        file = self.sources / path
        before = file.read_text()
        file.write_text(change(before))
        assert file.read_text() != before


def environment() -> Mapping[str, str]:
    """As a shell has it: the sources are found by the workflow's own doing, not by this test run's."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def counts(output: str) -> dict[str, int]:
    """The table of jobs by rule that Snakemake prints."""
    if "Nothing to be done" in output:
        return {}
    table = output.split("Job stats:")[-1].split("total")[0]
    rows = [line.split() for line in table.splitlines() if line.strip()]
    return {row[0]: int(row[1]) for row in rows if len(row) == 2 and row[1].isdigit() and row[0] != "all"}


def new_workspace(base: Path) -> Workspace:
    """Copy the source tree and the tiny settings below `base`."""
    workspace = Workspace(base)
    workspace.work.mkdir(parents=True)
    workspace.sources.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, workspace.sources / name)
    shutil.copy(ROOT / "tests/workflow/tiny.yaml", base / "settings.yaml")
    return workspace
