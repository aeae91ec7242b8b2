"""What the operating system offers: memory allocation, energy counters, and the errors of a shortage."""

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
    """Let the C library keep what tensors free for the next ones; whether it will (glibc alone can be asked).

    By default glibc gives blocks of megabytes back to the system and gets them anew, page by page, a step later: a
    tenth of the time of a search step on a CPU. The process grows no larger than its peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    # No block is mapped on its own: glibc would give those above 32 MB back whatever the other options say.
    options = {MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1, TOP_PAD: 64 << 20}
    return mallopt is not None and all(mallopt(option, value) for option, value in options.items())


POWERCAP = Path("/sys/class/powercap")
Counter = Callable[[], float]
"""Joules used since some moment; never falls."""


class Meter:
    """Energy since it was made: of whole processors and of a whole GPU, whatever else runs on them.

    What cannot be read is left out: RAPL often needs rights, NVML the package `nvidia-ml-py`.
    """

    def __init__(self, device: "torch.device", powercap: Path = POWERCAP) -> None:
        self._counters = [*_processors(powercap), *(_gpu(device) if device.type == "cuda" else [])]
        self._began = [count() for count in self._counters]

    def joules(self) -> float | None:
        """Sum over all counters; None without any."""
        if not self._counters:
            return None
        return sum(count() - began for count, began in zip(self._counters, self._began, strict=True))


def _processors(powercap: Path) -> list[Counter]:
    """Counters of the packages; those inside of them would count twice."""
    found = []
    for folder in sorted(powercap.glob("intel-rapl:[0-9]*")):
        if folder.name.count(":") == 1:
            with suppress(OSError, ValueError):
                found.append(_rapl(folder))
    return found


def _rapl(folder: Path) -> Counter:
    """A counter in microjoules that starts again at its range: what it lost is added as soon as it is seen to fall."""
    reach, last, lost = int((folder / "max_energy_range_uj").read_text()), 0, 0

    def count() -> float:
        nonlocal last, lost
        now = int((folder / "energy_uj").read_text())
        lost += reach if now < last else 0
        last = now
        return (lost + now) / 1e6

    count()
    return count


def _gpu(device: "torch.device") -> list[Counter]:
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
