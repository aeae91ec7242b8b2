"""Energy that the machine has used, where its counters can be read: processors by RAPL, a GPU by NVML."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")
Counter = Callable[[], float]
"""Joules used since some moment; never falls."""


class Meter:
    """Energy since it was made: of whole processors and of a whole GPU, whatever else runs on them.

    What cannot be read is left out: RAPL often needs rights, NVML the package `nvidia-ml-py`.
    """

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
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


def _gpu(device: torch.device) -> list[Counter]:
    try:
        import pynvml  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        return []
    try:
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(device).uuid}")
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except pynvml.NVMLError:
        return []
    return [lambda: float(pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)) / 1e3]
