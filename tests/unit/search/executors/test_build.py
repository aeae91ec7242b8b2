"""The memory of a child in flight: the bound holds what is measured, and does not waste much of it."""

import contextlib

import pytest
import torch

from parsec.config.base import Compute
from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network.cell_network import child_bytes, map_bytes
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.device import peak_bytes
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.build import CACHE_BYTES, GIB, build_executor
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.sequential import SequentialExecutor

BATCH = 16


def supernet(network):
    return Supernet(network, 10, torch.Generator().manual_seed(0))


def step_bytes(net, children, side, in_flight):
    """Peak of a v-step with as many children at once."""
    images = torch.randn(BATCH, 3, side, side).to(memory_format=torch.channels_last)
    labels, executor = torch.zeros(BATCH, dtype=torch.int64), GroupedExecutor(net, contextlib.nullcontext, in_flight)
    weighted_backward(executor, children, images, labels)  # the views of the weights are made once
    return peak_bytes(lambda: weighted_backward(executor, children, images, labels), torch.device("cpu"))


@pytest.mark.parametrize(
    ("network", "side"),
    [
        (Network(cells=3, channels=4), 8),
        (Network(cells=5, channels=8), 16),
        (Network(cells=8, channels=4), 15),
        (Network(stem="imagenet", cells=4, channels=16), 64),
    ],
)
@pytest.mark.parametrize("primitive", ["sep_conv_5x5", "dil_conv_5x5", None])
def test_step_stays_within_memory_bound(network, side, primitive, random_genotype, uniform_genotype):
    net = supernet(network)
    drawn = [random_genotype(seed) for seed in range(4)]
    children = ArchitectureBatch.of(drawn if primitive is None else [uniform_genotype(primitive), *drawn[1:]])
    bound = child_bytes(network, BATCH, side)
    for in_flight in (1, 2, 4):
        assert step_bytes(net, children, side, in_flight) <= in_flight * bound


def test_memory_bound_is_tight(uniform_genotype):
    network = Network(cells=5, channels=8)
    children = ArchitectureBatch.of([uniform_genotype("sep_conv_5x5")])
    assert child_bytes(network, BATCH, 16) < 1.5 * step_bytes(supernet(network), children, 16, 1)


def test_memory_sets_grouped_in_flight():
    network = Network(cells=3, channels=4)
    net, each = supernet(network), child_bytes(network, BATCH, 8)
    executor = build_executor(net, Compute(executor="grouped", memory_gib=3.5 * each / GIB), BATCH, 8)
    assert executor.in_flight == 3
    executor = build_executor(net, Compute(executor="grouped"), BATCH, 8)
    assert executor.in_flight == CACHE_BYTES // map_bytes(network, BATCH, 8)
    assert build_executor(net, Compute(executor="grouped", samples_in_flight=2), BATCH, 8).in_flight == 2


def test_auto_runs_large_maps_sequentially():
    net = supernet(Network(cells=3, channels=16))
    assert isinstance(build_executor(net, Compute(), 64, 32), SequentialExecutor)
    assert isinstance(build_executor(net, Compute(executor="sequential"), 4, 8), SequentialExecutor)
    assert isinstance(build_executor(net, Compute(), 4, 8), GroupedExecutor)


def test_auto_without_memory_is_sequential():
    net = supernet(Network(cells=3, channels=16))
    assert isinstance(build_executor(net, Compute(memory_gib=1e-6), 4, 8), SequentialExecutor)


def test_too_little_memory_fails():
    net = supernet(Network(cells=3, channels=16))
    with pytest.raises(
        SettingsError, match=r"compute.memory_gib: 0\.01 GiB do not hold .*; raise it, lower .*executor to sequential"
    ):
        build_executor(net, Compute(executor="grouped", memory_gib=0.01), 64, 32)
    with pytest.raises(SettingsError, match="8 ×"):
        build_executor(net, Compute(executor="grouped", samples_in_flight=8, memory_gib=0.5), 64, 32)
