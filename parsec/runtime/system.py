"""Operating system: glibc malloc tuning and energy metering (RAPL, NVML)."""

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
"""Options of `mallopt` (glibc's malloc.h)."""


def keep_freed_memory() -> bool:
    """Make glibc's malloc keep freed blocks; returns whether it will (False for other C libraries).

    By default glibc returns blocks of megabytes to the system and faults them in again, page by page, a step later:
    a tenth of the time of a search step on a CPU. The process grows no larger than its peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # Without MMAP_MAX = 0 blocks above 32 MB are mapped one by one and returned whatever the other options say.
    options = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}
    return mallopt is not None and all(mallopt(option, value) for option, value in options.items())


POWERCAP = Path("/sys/class/powercap")
Counter = Callable[[], float]
"""Reads a counter in joules that never decreases."""


class EnergyMeter:
    """Energy of all processors and of a GPU since construction, other work on them included.

    Counters that cannot be read are left out: RAPL often needs privileges, NVML the package `nvidia-ml-py`.
    """

    def __init__(self, device: "torch.device", powercap: Path = POWERCAP) -> None:
        self._counters = [*_processors(powercap), *(_gpu(device) if device.type == "cuda" else [])]
        self._initial = [read() for read in self._counters]

    def total_joules(self) -> float | None:
        """Sum over all counters; None if there is none."""
        if not self._counters:
            return None
        return sum(read() - initial for read, initial in zip(self._counters, self._initial, strict=True))


def _processors(powercap: Path) -> list[Counter]:
    """RAPL counters of the processor packages."""
    counters = []
    for folder in sorted(powercap.glob("intel-rapl:[0-9]*")):
        # Folders such as intel-rapl:0:0 are domains within a package, which would count twice.
        if folder.name.count(":") == 1:
            with suppress(OSError, ValueError):
                counters.append(_rapl(folder))
    return counters


def _rapl(folder: Path) -> Counter:
    """Counter of one RAPL domain, which counts microjoules and wraps around at its range."""
    wrap, last, wrapped = int((folder / "max_energy_range_uj").read_text()), 0, 0

    def read() -> float:
        nonlocal last, wrapped
        now = int((folder / "energy_uj").read_text())
        wrapped += wrap if now < last else 0
        last = now
        return (wrapped + now) / 1e6

    # Fails here, not during the run, if the counter cannot be read.
    read()
    return read


def _gpu(device: "torch.device") -> list[Counter]:
    """NVML counter of a GPU, in millijoules; none without the package or where NVML cannot read it."""
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return []
    import torch

    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return []
    return [lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3]
