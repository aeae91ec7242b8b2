"""Where a result comes from: settings, code, data, machine and time."""

import contextlib
import functools
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import parsec
from parsec.config.base import Config, fingerprint
from parsec.records.code_hash import code_fingerprint
from parsec.runtime.files import write_atomic

if TYPE_CHECKING:
    import torch

    from parsec.runtime.loop import RunCost


SCHEMA = 2
"""Version of the JSON documents that stages write; raised with every rename, see `documents.RENAMES`."""
_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "snakemake")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory (bytes), platform, and the GPUs or None."""
    return {
        "cpu": cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "gpu": gpu(),
    }


def cpu_model() -> str:
    """Model name of the processor, or its architecture where the system has no name."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


@functools.cache
def gpu() -> dict[str, Any] | None:
    """Name and driver of the first GPU and the number of GPUs, from nvidia-smi; None without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        lines = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    except (subprocess.SubprocessError, OSError):
        return None
    if not lines:
        return None
    name, _, driver = lines[0].rpartition(", ")
    return {"name": name, "driver": driver, "count": len(lines)}


def versions() -> dict[str, str | None]:
    """Versions of Python, of this package and of the libraries that affect numbers; None where one is not installed.

    Read from the installed metadata, so that nothing is imported; CUDA's is known only where torch is loaded.
    """
    known: dict[str, str | None] = {"python": platform.python_version(), "parsec": parsec.__version__}
    for name in _PACKAGES:
        known[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[name] = importlib.metadata.version(name)
    known["cuda"] = sys.modules["torch"].version.cuda if "torch" in sys.modules else None
    return known


def cost(spent: "RunCost", device: "torch.device") -> dict[str, Any]:
    """The `cost` of a result file: seconds and memory over all attempts, and the device they were spent on."""
    from parsec.runtime.device import device_name  # tables are made from results without torch

    return {**spent._asdict(), "device": device_name(device), "accelerator": device.type != "cpu"}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document with sorted keys, indented, whole or not at all.

    Raises:
        ValueError: a number is not finite.
        UserError: no space is left.
    """
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


_PACKAGE = Path(__file__).resolve().parents[1]


class Dataset(Protocol):
    """Facts on a data set that provenance records."""

    @property
    def content_hash(self) -> str:
        """SHA-256 over its images and labels."""

    @property
    def stand_in(self) -> str | None:
        """A sentence if it stands in for another data set."""


class RunStart(NamedTuple):
    """Facts recorded before the work, because sources and commits may change while it runs."""

    started: datetime
    """With a time zone."""
    code: str
    """Fingerprint of the code that runs."""
    git: dict[str, Any] | None
    """Commit of the package, and whether the package differs from it."""


def start_provenance(module: str) -> RunStart:
    """Time and code with which the work of `module` starts."""
    return RunStart(datetime.now(UTC), code_fingerprint(module), git_state(_PACKAGE))


def provenance(job: Config, run_start: RunStart, info: Dataset | None) -> dict[str, Any]:
    """The `provenance` of a result file, when the work is done; `info` is the data set, None if none was read."""
    import torch  # the rest of the records must load without it

    return {
        "settings": job.model_dump(mode="json"),
        "settings_fingerprint": fingerprint(job),
        "code_fingerprint": run_start.code,
        "version": parsec.__version__,
        "git": run_start.git,
        "dataset_hash": info.content_hash if info else None,
        "stand_in": info.stand_in if info else None,
        "machine": machine(),
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "started": _utc(run_start.started),
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
    # Without optional locks, so that reading the state never disturbs the user's own git commands.
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
