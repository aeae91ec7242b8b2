"""Choose the executor and the number of architectures run concurrently."""

from functools import partial

import torch

from parsec.config.base import Compute
from parsec.errors import SettingsError
from parsec.network.cell_network import TABLE_MAPS, child_bytes, map_bytes
from parsec.network.spaces import SharedWeights
from parsec.network.supernet import Supernet
from parsec.runtime.device import autocast
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.search.executors.base import Executor
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.distributed import DistributedExecutor
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.sequential import SequentialExecutor

GIB = 2**30
CACHE_BYTES = 3 * 2**19
"""Bytes of concatenated maps beyond which a CPU gains nothing from more architectures at once: they leave its cache."""


def build_executor(
    supernet: SharedWeights, compute: Compute, batch_size: int, image_size: int, ranks: Ranks = SINGLE_PROCESS
) -> Executor:
    """The executor of `compute` for minibatches of this size, on the device of the shared weights.

    Raises:
        SettingsError: `memory_gib` does not hold the architectures in flight, or the executor does not run this space.
        UserError: executor `fused` on CUDA without Triton.
    """
    executor = _build(supernet, compute, batch_size, image_size)
    return DistributedExecutor(executor, ranks) if ranks.count > 1 else executor


def _build(supernet: SharedWeights, compute: Compute, batch_size: int, image_size: int) -> Executor:
    device, skip = supernet.bank.flat.device, compute.skip_negligible
    context = partial(autocast, device, compute.precision)
    if not isinstance(supernet, Supernet):
        if compute.executor not in ("auto", "sequential"):
            raise SettingsError(
                f"compute.executor: {compute.executor} runs the space darts only; set it to sequential or auto"
            )
        return SequentialExecutor(supernet, context, skip)
    if compute.executor == "fused":
        # Activations have the precision that autocast gives the results of the stem.
        with context():
            item_bytes = 2 if torch.is_autocast_enabled(device.type) else 4
        bytes_each = child_bytes(supernet.network, batch_size, image_size, item_bytes, TABLE_MAPS)
        return CUDAGraphRunner(FusedExecutor(supernet, context, _in_flight(compute, bytes_each), skip))
    if compute.executor in ("grouped", "auto"):
        in_flight = _grouped_in_flight(supernet, compute, batch_size, image_size)
        if in_flight > 1 or compute.executor == "grouped":
            return GroupedExecutor(supernet, context, in_flight, skip)
    return SequentialExecutor(supernet, context, skip)


def _grouped_in_flight(supernet: Supernet, compute: Compute, batch_size: int, image_size: int) -> int:
    """S of executor `grouped`; for `auto`, as many as fit (possibly zero)."""
    bytes_each = child_bytes(supernet.network, batch_size, image_size)
    if compute.executor == "auto" and not compute.samples_in_flight:
        in_flight = int(compute.memory_gib * GIB) // bytes_each
    else:
        in_flight = _in_flight(compute, bytes_each)
    # On a CPU, no more than its cache holds, unless the settings ask for a number.
    if supernet.bank.flat.device.type == "cpu" and not compute.samples_in_flight:
        in_flight = min(in_flight, max(CACHE_BYTES // map_bytes(supernet.network, batch_size, image_size), 1))
    return in_flight


def _in_flight(compute: Compute, bytes_each: int) -> int:
    """S: the number in the settings, or as many architectures of `bytes_each` as fit into `memory_gib`."""
    fitting = int(compute.memory_gib * GIB) // bytes_each
    requested = compute.samples_in_flight or 1
    if fitting < requested:
        raise SettingsError(
            f"compute.memory_gib: {compute.memory_gib:g} GiB do not hold the architectures in flight ({requested} × "
            f"{bytes_each / GIB:.2g} GiB); raise it, lower compute.samples_in_flight, or set compute.executor to "
            "sequential"
        )
    return compute.samples_in_flight or fitting
