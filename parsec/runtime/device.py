"""The device that a run computes on: choosing it, how it computes, and what it used."""

import contextlib
import os
import resource
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from parsec.errors import DeviceError
from parsec.runtime.distributed import ALONE, Ranks
from parsec.runtime.lease import lease_one

Precision = Literal["auto", "float32", "bfloat16"]
Layout = Literal["auto", "contiguous", "channels_last"]


def resolve(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The kind of device that a setting means here; `auto` is CUDA where it is found.

    Raises:
        DeviceError: CUDA was asked for and is absent.
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
def lease(device: torch.device, ranks: Ranks = ALONE) -> Iterator[torch.device]:
    """Hold one GPU among those visible, waiting while other processes of this user hold all; a CPU needs no lease.

    Every rank of a run holds one of its own.

    Yields the device with its index, which is then the current one. The lock is kept even where a scheduler gave this
    process its own GPU (CUDA_VISIBLE_DEVICES): it is free there, and elsewhere one variable may reach many processes.

    Raises:
        DeviceError: there are fewer GPUs than ranks, or the folder of the locks belongs to another user.
    """
    if device.type != "cuda":
        yield device
        return
    ids = [str(torch.cuda.get_device_properties(index).uuid) for index in range(torch.cuda.device_count())]
    folder = Path(tempfile.gettempdir()) / f"parsec-devices-{os.getuid()}"
    with lease_one(ids, folder, ranks) as index:
        torch.cuda.set_device(index)
        yield torch.device("cuda", index)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on `device`, copied there without waiting for what the device still has to do."""
    if device.type != "cuda":
        return tensor.to(device)
    # Only a copy from pinned memory leaves the host free to go on.
    return tensor.pin_memory().to(device, non_blocking=True)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Context in which activations are bfloat16 if `precision` says so; `auto`: on a GPU that has it in hardware."""
    wanted = precision == "bfloat16"
    if precision == "auto" and device.type == "cuda":
        wanted = torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def memory_format(layout: Layout) -> torch.memory_format:
    """Memory layout of images; `auto` is channels last, the faster one for these networks on CPU and GPU."""
    return torch.contiguous_format if layout == "contiguous" else torch.channels_last


def set_deterministic(flag: bool) -> None:
    """Same bytes for same input on the same machine; call it before the first CUDA operation."""
    if flag:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # `use_deterministic_algorithms` sets the same switch, but loads torch's compiler first: seconds for every process.
    torch.set_deterministic_debug_mode("error" if flag else "default")
    # Filling every fresh tensor with NaN costs time and changes no result of code that writes before it reads.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.benchmark = not flag


def peak_memory_bytes(device: torch.device) -> int:
    """Most memory held at once: on CUDA what tensors took, on the CPU the resident set of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    # Unlike ru_maxrss, this line does not count the parent's memory before exec.
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """`cpu`, or the name of the GPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
