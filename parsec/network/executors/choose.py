"""The executor that the settings ask for."""

from functools import partial

from parsec.network.executors.one import One
from parsec.network.executors.protocol import Executor
from parsec.network.executors.stacked import Stacked
from parsec.network.supernet import Supernet
from parsec.runtime.device import autocast
from parsec.settings.tree import Compute


def executor_for(supernet: Supernet, compute: Compute) -> Executor:
    """The executor of `compute` for a network of shared weights, on the device of those weights."""
    context = partial(autocast, supernet.bank.flat.device, compute.precision)
    if compute.executor == "stacked" and compute.samples_in_flight:
        return Stacked(supernet, context, compute.samples_in_flight, compute.skip_negligible)
    return One(supernet, context, compute.skip_negligible)
