"""A tiny run of the whole chain, made once, and copies of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from workspace import PROFILE, Workspace, counts, new_workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Workspace, str]:
    """The tiny run, and what it printed. Read it; to change it, take `copy`."""
    workspace = new_workspace(tmp_path_factory.mktemp("chain") / "workspace")
    done = workspace.run(*PROFILE, "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    return workspace, done.stdout + done.stderr


@pytest.fixture
def copy(finished: tuple[Workspace, str], tmp_path: Path) -> Workspace:
    """A copy of the finished run that a test may change."""
    shutil.copytree(finished[0].base, tmp_path / "workspace")
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """A workspace where nothing has run yet."""
    return new_workspace(tmp_path / "workspace")


@pytest.fixture
def job_counts() -> Callable[[str], dict[str, int]]:
    """The parser of Snakemake's table of jobs."""
    return counts
