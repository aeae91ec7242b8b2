"""A tiny run of the whole chain, made once, and copies of it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from place import PROFILE, Place, counts, new_place


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, str]:
    """The tiny run, and what it printed. Read it; to change it, take `copy`."""
    place = new_place(tmp_path_factory.mktemp("chain") / "place")
    done = place.run(*PROFILE, "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    return place, done.stdout + done.stderr


@pytest.fixture
def copy(finished: tuple[Place, str], tmp_path: Path) -> Place:
    """A copy of the finished run that a test may change."""
    shutil.copytree(finished[0].base, tmp_path / "place")
    return Place(tmp_path / "place")


@pytest.fixture
def fresh(tmp_path: Path) -> Place:
    """A place where nothing has run yet."""
    return new_place(tmp_path / "place")


@pytest.fixture
def job_counts() -> Callable[[str], dict[str, int]]:
    """The parser of Snakemake's table of jobs."""
    return counts
