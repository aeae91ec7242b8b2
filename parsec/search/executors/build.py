"""The executor that the settings ask for, with as many children at once as memory holds and as pay."""

from functools import partial

import torch

from parsec.config.base import Compute
from parsec.errors import SettingsError
from parsec.network.complexity import TABLE_MAPS, child_bytes, map_bytes
from parsec.network.spaces import SharedWeights
from parsec.network.supernet import Supernet
from parsec.runtime.device import autocast
from parsec.search.executors.base import Executor
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.sequential import SequentialExecutor

GIB = 2**30
CACHE_BYTES = 3 * 2**19
"""Bytes of stacked maps beyond which a CPU gains nothing from running more children at once: they leave its cache."""


def build_executor(supernet: SharedWeights, compute: Compute, batch_size: int, image_size: int) -> Executor:
    """The executor of `compute` for steps on minibatches of this size, on the device of the shared weights.

    Raises:
        SettingsError: `memory_gib` does not hold the children that are to be in flight, or the executor is made for
            the DARTS space alone.
        UserError: executor `table` on CUDA without Triton.
    """
    device = supernet.bank.flat.device
    context = partial(autocast, device, compute.precision)
    if not isinstance(supernet, Supernet):
        return _one_of_another_space(SequentialExecutor(supernet, context, compute.skip_negligible), compute)
    match compute.executor:
        case "table":
            # The stem's results say in which precision activations are stored.
            with context():
                item_bytes = 2 if torch.is_autocast_enabled(device.type) else 4
            each = child_bytes(supernet.network, batch_size, image_size, item_bytes, TABLE_MAPS)
            return CUDAGraphRunner(FusedExecutor(supernet, context, _in_flight(compute, each), compute.skip_negligible))
        case "stacked" | "auto":
            held = _stacked_in_flight(supernet, compute, batch_size, image_size)
            if held > 1 or compute.executor == "stacked":
                return GroupedExecutor(supernet, context, held, compute.skip_negligible)
    return SequentialExecutor(supernet, context, compute.skip_negligible)


def _one_of_another_space(executor: SequentialExecutor, compute: Compute) -> SequentialExecutor:
    if compute.executor not in ("auto", "one"):
        raise SettingsError(f"compute.executor: {compute.executor} runs the space darts alone; set it to one or auto")
    return executor


def _stacked_in_flight(supernet: Supernet, compute: Compute, batch_size: int, image_size: int) -> int:
    """S for `stacked`: on a CPU no more than pay; for `auto` whatever memory holds, be it none."""
    each = child_bytes(supernet.network, batch_size, image_size)
    if compute.executor == "auto" and not compute.samples_in_flight:
        held = int(compute.memory_gib * GIB) // each
    else:
        held = _in_flight(compute, each)
    if supernet.bank.flat.device.type == "cpu" and not compute.samples_in_flight:
        held = min(held, max(CACHE_BYTES // map_bytes(supernet.network, batch_size, image_size), 1))
    return held


def _in_flight(compute: Compute, each: int) -> int:
    """S: as asked for, else as many as memory holds, of children that take so many bytes each."""
    held = int(compute.memory_gib * GIB) // each
    if held < (compute.samples_in_flight or 1):
        wanted = f"{compute.samples_in_flight or 1} × {each / GIB:.2g} GiB"
        raise SettingsError(
            f"compute.memory_gib: {compute.memory_gib:g} GiB do not hold the children in flight ({wanted}); "
            "raise it, lower compute.samples_in_flight, or set compute.executor to one"
        )
    return compute.samples_in_flight or held
