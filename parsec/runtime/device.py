"""Devices: selection, exclusive use of a GPU, precision, determinism and peak memory."""

import contextlib
import itertools
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal

import torch
from filelock import FileLock, Timeout
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from parsec.errors import DeviceError
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.logs import logger


def peak_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Peak memory of the tensors that `work` allocates, in bytes, without what was allocated before."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    return _cpu_peak(work)


def _cpu_peak(work: Callable[[], object]) -> int:
    # Otherwise the profiler prints two lines per use.
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    # Allocations count positive, frees negative; their running sum in the order of time has the peak.
    events = profiler.profiler.kineto_results.events()
    changes: list[tuple[int, int]] = sorted((e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]")
    return max(itertools.accumulate((change for _, change in changes), initial=0))


Lock = tuple[int, FileLock]
"""Index of a device and its lock, held."""


@contextlib.contextmanager
def acquire_free(
    ids: Sequence[str], folder: Path, ranks: Ranks = SINGLE_PROCESS, poll_seconds: float = 0.5
) -> Iterator[int]:
    """Hold a free device of `ids` and yield its index; waits, with one line in the log, while too few are free.

    Every rank gets its own device. The first rank of a machine holds all that its machine needs, and none keeps any
    while another machine waits, so that two runs never wait for each other.

    Args:
        ids: names of the devices, equal in all processes that share them.
        folder: folder of the lock files; created for this user only.
        ranks: processes of this run.
        poll_seconds: mean time between two attempts.

    Raises:
        DeviceError: there are too few devices, or the folder belongs to another user.
    """
    if len(ids) < ranks.local_count:
        raise DeviceError(
            f"{ranks.local_count} ranks need a device each, but there are {len(ids)}; ask for fewer ranks"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # lstat: not through a link that another user may have put there.
    if folder.lstat().st_uid != os.getuid():
        raise DeviceError(f"{folder}: belongs to another user; set TMPDIR to a folder of your own")
    held = _wait(ids, folder, ranks, poll_seconds)
    try:
        # The first rank of each machine assigns its devices to the ranks of the machine, which are consecutive.
        assigned = [0] * ranks.count
        assigned[ranks.rank : ranks.rank + len(held)] = [index for index, _ in held]
        yield ranks.all_reduce_max(*assigned)[ranks.rank]
    finally:
        _release(held)


def _wait(ids: Sequence[str], folder: Path, ranks: Ranks, poll_seconds: float) -> list[Lock]:
    """Locks that this rank holds for its machine, once all machines have what they need."""
    needed = ranks.local_count if ranks.local_rank == 0 else 0
    logged = False
    while True:
        held = _take(ids, folder, needed)
        (missing,) = ranks.all_reduce_max(needed - len(held))
        if not missing:
            return held
        # All or nothing: a machine that got its devices releases them while another one waits.
        _release(held)
        if not logged and ranks.is_main_process:
            logger.info("waiting for a free device: other runs hold all %d", len(ids))
        logged = True
        # A random pause, so that two runs that need as many do not keep trying at the same moments.
        time.sleep(poll_seconds * random.uniform(0.5, 1.5))


def _take(ids: Sequence[str], folder: Path, needed: int) -> list[Lock]:
    """Locks of the first free devices, at most `needed`."""
    held: list[Lock] = []
    for index, name in enumerate(ids):
        if len(held) == needed:
            break
        lock = FileLock(folder / f"{name}.lock", timeout=0)
        with contextlib.suppress(Timeout):
            lock.acquire()
            held.append((index, lock))
    return held


def _release(held: list[Lock]) -> None:
    for _, lock in held:
        lock.release()


Precision = Literal["auto", "float32", "bfloat16"]
Layout = Literal["auto", "contiguous", "channels_last"]


def resolve(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Kind of device that a setting means on this machine; `auto` is CUDA if available.

    Raises:
        DeviceError: CUDA was requested but is unavailable.
    """
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        shown = "" if visible is None else f" (CUDA_VISIBLE_DEVICES={visible!r})"
        built = "is built without CUDA" if torch.version.cuda is None else f"finds no CUDA device{shown}"
        raise DeviceError(f"compute.device: cuda was asked for, but torch {torch.__version__} {built}; use auto or cpu")
    return torch.device("cuda")


@contextlib.contextmanager
def acquire_gpu(device: torch.device, ranks: Ranks = SINGLE_PROCESS) -> Iterator[torch.device]:
    """Hold one visible GPU per rank, waiting while other processes of this user hold all; a CPU needs no lock.

    Yields the device with its index, which is then the current one. The lock is taken even if a scheduler reserved the
    GPU (CUDA_VISIBLE_DEVICES): there it costs nothing, and elsewhere one variable may reach many processes.

    Raises:
        DeviceError: there are fewer GPUs than ranks, or the folder of the locks belongs to another user.
    """
    if device.type != "cuda":
        yield device
        return
    ids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    folder = Path(tempfile.gettempdir()) / f"parsec-devices-{os.getuid()}"
    with acquire_free(ids, folder, ranks) as index:
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy of a CPU tensor on `device`; the host does not wait for the device's earlier work."""
    if device.type != "cuda":
        return tensor.to(device)
    # Only copies from pinned memory are asynchronous.
    return tensor.pin_memory().to(device, non_blocking=True)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Context of mixed precision; `auto` is bfloat16 on a GPU with hardware for it, float32 otherwise."""
    enabled = precision == "bfloat16"
    if precision == "auto" and device.type == "cuda":
        enabled = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


def memory_format(layout: Layout) -> torch.memory_format:
    """Memory layout of images; `auto` is channels last, which is faster for these networks on CPU and GPU."""
    return torch.contiguous_format if layout == "contiguous" else torch.channels_last


def set_deterministic(flag: bool) -> None:
    """Make equal inputs give bit-identical outputs on the same machine; call it before the first CUDA operation."""
    # Without a fixed workspace cuBLAS may choose another algorithm from one call to the next.
    if flag:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # `use_deterministic_algorithms` sets the same switch, but first loads torch's compiler, for seconds per process.
    torch.set_deterministic_debug_mode("error" if flag else "default")
    # Filling every new tensor with NaN takes time and changes nothing for code that writes before it reads.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not flag


def peak_memory_bytes(device: torch.device) -> int:
    """Peak memory of this process, in bytes: of its tensors on CUDA, its resident set on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    # Unlike ru_maxrss, this line does not count the parent's memory before exec.
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    # Bytes on macOS, kilobytes elsewhere.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """Name of the GPU, or `cpu`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
