"""The machine and the versions that a result was made with; no names of hosts or users."""

import contextlib
import functools
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import parsec

_PACKAGES = ("torch", "torchvision", "numpy", "pandas", "pyarrow", "scipy", "scikit-learn", "snakemake")


def machine() -> dict[str, Any]:
    """Processor, cores that this process may use, memory (bytes), platform, and the GPUs or None."""
    return {
        "cpu": cpu_model(),
        "cores": _cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "gpu": gpu(),
    }


def cpu_model() -> str:
    """The processor's name as the system tells it, or its architecture."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def gpu() -> dict[str, Any] | None:
    """Name and driver of the first GPU and how many there are, as nvidia-smi tells; None without it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    command = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout.splitlines()
    except (subprocess.SubprocessError, OSError):
        return None
    if not found:
        return None
    name, _, driver = found[0].rpartition(", ")
    return {"name": name, "driver": driver, "count": len(found)}


def versions() -> dict[str, str | None]:
    """Version of Python, of this package and of the libraries that decide numbers; None where one is not installed.

    Read from the installed metadata, so that nothing is imported; CUDA's is known only where torch is loaded.
    """
    known: dict[str, str | None] = {"python": platform.python_version(), "parsec": parsec.__version__}
    for name in _PACKAGES:
        known[name] = None
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            known[name] = importlib.metadata.version(name)
    known["cuda"] = sys.modules["torch"].version.cuda if "torch" in sys.modules else None
    return known
