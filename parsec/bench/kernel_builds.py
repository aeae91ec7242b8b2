"""Triton kernels of a search step, built in parallel processes before the step is run."""

import multiprocessing
import zlib
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from parsec.config.training import Network
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.fused import FusedExecutor


class Case(NamedTuple):
    """Shapes of a step."""

    network: Network
    image_size: int
    batch_size: int
    in_flight: int
    """S."""
    rounded: bool
    """Whether activations are bfloat16."""


def build_kernels(cases: list[Case], processes: int) -> int:
    """Build every kernel that these steps launch, for the current device, into Triton's cache; returns how many."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes) as pool:
        return sum(pool.starmap(_build_share, [(cases, rank, processes) for rank in range(processes)]))


def _build_share(cases: list[Case], rank: int, processes: int) -> int:
    """One process's part of the builds."""
    from triton.runtime.jit import JITFunction

    run, built = JITFunction.run, 0
    seen: set[str] = set()

    def build(kernel: Any, *args: Any, grid: Any, warmup: bool, **named: Any) -> None:  # noqa: ANN401
        nonlocal built
        key = _variant(kernel, dict(zip(kernel.arg_names, args, strict=False)) | named)
        if key not in seen:
            seen.add(key)
            # All processes see the same launches, and each builds those that its number falls on.
            if zlib.crc32(key.encode()) % processes == rank:
                built += 1
                pointers = [_Pointer(x) if isinstance(x, Tensor) else x for x in args]
                run(kernel, *pointers, grid=grid, warmup=True, **named)

    JITFunction.run = build
    for case in cases:
        launch_step(case)
    JITFunction.run = run
    return built


def _variant(kernel: Any, given: dict[str, Any]) -> str:  # noqa: ANN401
    """What a launch's build depends on: types, constants, alignment, and which numbers are 1 or multiples of 16."""
    parts: list[object] = [kernel.fn.__name__]
    for parameter in kernel.params:
        value = given.pop(parameter.name, None)
        if isinstance(value, Tensor):
            parts.append((value.dtype, _offset(value)))
        elif parameter.is_constexpr or type(value) is not int:
            parts.append(value)
        else:
            known = None if parameter.do_not_specialize else (value == 1, value % 16 == 0)
            parts.append((value >= 2**31, known))
    return repr([*parts, sorted(given.items())])


def _offset(x: Tensor) -> int:
    return int(x.storage_offset()) * x.element_size() % 16


class _Pointer:
    """Stands for a tensor of no memory when a kernel is built."""

    def __init__(self, x: Tensor) -> None:
        self.dtype, self._offset = x.dtype, _offset(x)

    def data_ptr(self) -> int:
        """The alignment of the tensor."""
        return self._offset

    def ptr_range(self) -> int:
        """Within 32 bits, as Triton's own stand-in has it."""
        return 0


def launch_step(case: Case) -> None:
    """Launch what a π-step and a v-step launch, on tensors that have shapes and no numbers."""
    from parsec.network.kernels import fused

    context = partial(torch.autocast, "cpu", dtype=torch.bfloat16) if case.rounded else nullcontext
    with FakeTensorMode(allow_non_fake_inputs=True):
        supernet = Supernet(case.network, 10, torch.Generator().manual_seed(0))
        executor = FusedExecutor(supernet, context, launches=fused)
        children = ArchitectureBatch(torch.zeros(case.in_flight, 2, 4, 2, 2, dtype=torch.int64))
        images = torch.randn(case.batch_size, 3, case.image_size, case.image_size)
        images = images.contiguous(memory_format=torch.channels_last)
        labels = torch.zeros(case.batch_size, dtype=torch.int64)
        executor.log_likelihoods(children, images, labels)
        weighted_backward(executor, children, images, labels)
