"""Where a result comes from: settings, code, data, machine and time."""

import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import parsec
from parsec.records.code import code_fingerprint
from parsec.records.machine import machine, versions
from parsec.settings.base import Strict
from parsec.settings.jobs import fingerprint

_PACKAGE = Path(__file__).resolve().parents[1]


class Dataset(Protocol):
    """What provenance tells about a data set."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over its images and labels."""

    @property
    def stand_in(self) -> str | None:
        """A sentence if it stands in for another data set."""


class Beginning(NamedTuple):
    """What must be taken down before the work, because sources and commits may change while it runs."""

    started: datetime
    """With a time zone."""
    code: str
    """Fingerprint of the code that runs."""
    git: dict[str, Any] | None
    """Commit of the package, and whether it differs from it."""


def begin(module: str) -> Beginning:
    """Take down when and with which code the work of `module` begins."""
    return Beginning(datetime.now(UTC), code_fingerprint(module), git_state(_PACKAGE))


def provenance(job: Strict, beginning: Beginning, info: Dataset | None) -> dict[str, Any]:
    """The `provenance` of a result file; call it when the work is done.

    Args:
        job: settings that the stage read.
        beginning: what `begin` took down before the work.
        info: the data set, or None if none was read.
    """
    import torch  # the rest of the records must load without it

    return {
        "settings": job.model_dump(mode="json"),
        "settings_fingerprint": fingerprint(job),
        "code_fingerprint": beginning.code,
        "version": parsec.__version__,
        "git": beginning.git,
        "dataset_hash": info.content_hash if info else None,
        "stand_in": info.stand_in if info else None,
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "started": _utc(beginning.started),
        "finished": _utc(datetime.now(UTC)),
    }


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the work tree that tracks `folder`, and whether the folder differs from it; None without one."""
    tracked = _git(folder, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(folder, "rev-parse", "HEAD")
    changes = _git(folder, "status", "--porcelain", "--", ".")
    if tracked is None or commit is None or changes is None:
        return None
    return {"commit": commit, "dirty": changes != ""}


def _git(folder: Path, *arguments: str) -> str | None:
    # Optional locks would let a mere look disturb the user's own git commands.
    environment = os.environ | {"GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=30, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")
