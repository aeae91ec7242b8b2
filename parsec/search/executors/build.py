"""Choose the executor and the number of architectures run concurrently."""

import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

import torch

from parsec.config.base import Compute
from parsec.errors import SettingsError
from parsec.network.cell_network import TABLE_MAPS, child_bytes, map_bytes
from parsec.network.spaces import SharedWeights
from parsec.network.supernet import Supernet
from parsec.runtime.device import autocast
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.logs import logger
from parsec.search.executors.base import Executor
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.distributed import DistributedExecutor
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.self_test import fused_problem
from parsec.search.executors.sequential import SequentialExecutor

GIB = 2**30
CPU_BYTES = 4 * GIB
"""Memory for the architectures in flight on a CPU, if the settings leave it open."""
CACHE_BYTES = 3 * 2**19
"""Bytes of concatenated maps beyond which a CPU gains nothing from more architectures at once: they leave its cache."""


def build_executor(
    supernet: SharedWeights, compute: Compute, batch_size: int, image_size: int, ranks: Ranks = SINGLE_PROCESS
) -> Executor:
    """The executor of `compute` for minibatches of this size, on the device of the shared weights.

    Raises:
        SettingsError: `memory_gib` does not hold the architectures in flight, or the executor does not run this space.
        UserError: executor `fused` on CUDA without Triton or a C compiler.
    """
    executor = _build(supernet, compute, batch_size, image_size, ranks)
    return DistributedExecutor(executor, ranks) if ranks.count > 1 else executor


def _build(supernet: SharedWeights, compute: Compute, batch_size: int, image_size: int, ranks: Ranks) -> Executor:
    device, skip = supernet.weights.flat.device, compute.skip_negligible
    context = partial(autocast, device, compute.precision)
    if not isinstance(supernet, Supernet):
        if compute.executor not in ("auto", "sequential"):
            raise SettingsError(
                f"compute.executor: {compute.executor} runs the space darts only; set it to sequential or auto"
            )
        return SequentialExecutor(supernet, context, skip)
    if compute.executor == "fused":
        in_flight = _in_flight(compute, device, _fused_bytes(supernet, context, batch_size, image_size))
        return CUDAGraphRunner(FusedExecutor(supernet, context, in_flight, skip))
    if compute.executor == "auto" and device.type == "cuda":
        fitting = _fitting(compute, device, _fused_bytes(supernet, context, batch_size, image_size))
        fits = fitting >= (compute.samples_in_flight or 1)
        problem = fused_problem(device) if fits else "memory does not hold the architectures in flight"
        # All ranks or none: π lies where the executor reads it, and its copies must stay equal to the last bit.
        (refused,) = ranks.all_reduce_max(int(problem is not None))
        if not refused:
            return CUDAGraphRunner(FusedExecutor(supernet, context, compute.samples_in_flight or fitting, skip))
        logger.warning("compute.executor: auto does without executor fused here: %s", problem or "another rank does")
    if compute.executor in ("grouped", "auto"):
        in_flight = _grouped_in_flight(supernet, compute, batch_size, image_size)
        if in_flight > 1 or compute.executor == "grouped":
            return GroupedExecutor(supernet, context, in_flight, skip)
    return SequentialExecutor(supernet, context, skip)


def _fused_bytes(
    supernet: Supernet, context: Callable[[], AbstractContextManager[None]], batch_size: int, image_size: int
) -> int:
    """Bytes per architecture in flight of executor `fused`."""
    # Activations have the precision that autocast gives the results of the stem.
    with context():
        item_bytes = 2 if torch.is_autocast_enabled(supernet.weights.flat.device.type) else 4
    return child_bytes(supernet.network, batch_size, image_size, item_bytes, TABLE_MAPS)


def _grouped_in_flight(supernet: Supernet, compute: Compute, batch_size: int, image_size: int) -> int:
    """S of executor `grouped`; for `auto`, as many as fit (possibly zero)."""
    device, bytes_each = supernet.weights.flat.device, child_bytes(supernet.network, batch_size, image_size)
    if compute.executor == "auto" and not compute.samples_in_flight:
        in_flight = _fitting(compute, device, bytes_each)
    else:
        in_flight = _in_flight(compute, device, bytes_each)
    # On a CPU, no more than its cache holds, unless the settings ask for a number.
    if device.type == "cpu" and not compute.samples_in_flight:
        in_flight = min(in_flight, max(CACHE_BYTES // map_bytes(supernet.network, batch_size, image_size), 1))
    return in_flight


def _budget(compute: Compute, device: torch.device) -> int:
    """Bytes for the architectures in flight."""
    if compute.memory_gib is not None:
        return int(compute.memory_gib * GIB)
    if device.type == "cpu":
        return CPU_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    # A tenth is left for libraries and batches. Rounded down to a power of two, so that S, on which the last digits
    # depend, is the same in the next run although slightly more or less is free.
    return 1 << int(math.log2(0.9 * (free + unused)))


def _fitting(compute: Compute, device: torch.device, bytes_each: int) -> int:
    """How many architectures of `bytes_each` memory holds."""
    return _budget(compute, device) // bytes_each


def _in_flight(compute: Compute, device: torch.device, bytes_each: int) -> int:
    """S: the number in the settings, or as many architectures of `bytes_each` as memory holds."""
    fitting = _fitting(compute, device, bytes_each)
    requested = compute.samples_in_flight or 1
    if fitting < requested:
        raise SettingsError(
            f"compute.memory_gib: {_budget(compute, device) / GIB:g} GiB do not hold the architectures in flight "
            f"({requested} × {bytes_each / GIB:.2g} GiB); raise it, lower compute.samples_in_flight, or set "
            "compute.executor to sequential"
        )
    return compute.samples_in_flight or fitting
