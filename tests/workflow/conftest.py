"""A tiny run of the whole chain, made once, and copies of it."""

import shutil
from pathlib import Path

import pytest
from workspace import PROFILE, Workspace, new_workspace


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The tiny run; what it printed is in `printed.txt` below its base. Read it; to change it, take `copy`."""
    workspace = new_workspace(tmp_path_factory.mktemp("chain") / "workspace")
    done = workspace.run(*PROFILE, "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    (workspace.base / "printed.txt").write_text(done.stdout + done.stderr)
    return workspace


@pytest.fixture
def copy(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished run that a test may change."""
    return Workspace(shutil.copytree(finished.base, tmp_path / "workspace"))


@pytest.fixture
def fresh(tmp_path: Path) -> Workspace:
    """A workspace where nothing has run yet."""
    return new_workspace(tmp_path / "workspace")
