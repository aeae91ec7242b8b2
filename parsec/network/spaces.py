"""The networks of each search space: supernet, mixed-operation network, costs."""

from typing import Any, Protocol

import torch
from torch import Tensor

from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network import complexity, nasbench201
from parsec.network.cost import Cost, strided
from parsec.network.layers import build_cost
from parsec.network.mixed import MixedBenchmarkSupernet, MixedSupernet
from parsec.network.nasbench201 import BenchmarkSupernet, operation_cost, widths
from parsec.network.skeleton import cell_shapes, cell_sides, edge_stride
from parsec.network.supernet import SharedParameters, Supernet
from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, Genotype, edge_index
from parsec.space.nasbench201 import EDGES as BENCHMARK_EDGES
from parsec.space.nasbench201 import OPERATIONS
from parsec.space.nasbench201 import Architecture as Benchmarked
from parsec.space.spaces import Architecture, SearchSpace

Child = Any
"""An architecture of the space that the shared weights belong to."""


class SharedWeights(Protocol):
    """The network of shared weights of a space."""

    bank: SharedParameters

    def __call__(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child on `images` (B × 3 × H × W)."""


_NETWORKS: dict[str, type[Supernet] | type[BenchmarkSupernet]] = {"darts": Supernet, "nasbench201": BenchmarkSupernet}


def shared_weights(
    space: SearchSpace, network: Network, classes: int, generator: torch.Generator, device: torch.device
) -> SharedWeights:
    """The network that runs all architectures of a space, with new weights on a device."""
    return _NETWORKS[space.name](network, classes, generator, device=device)


def child_cost(architecture: Architecture, network: Network, classes: int, image_size: int) -> Cost:
    """Cost of an architecture as a fixed network of this size, on one image of `image_size` × `image_size` pixels.

    Raises:
        SettingsError: a stem that the space does not have.
    """
    if isinstance(architecture, Genotype):
        return complexity.network_cost(architecture, network, classes, image_size)
    if isinstance(architecture, Benchmarked):
        if network.stem != "cifar":
            raise SettingsError(f"network {network.stem}: nasbench201 has only the stem of cifar; choose that")
        return nasbench201.network_cost(architecture, classes, image_size, network.cells, network.channels)
    raise TypeError(f"no network is known for {type(architecture).__name__}")


class Mixed(Protocol):
    """A relaxed network."""

    def __call__(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits (B × classes) of the mixture `weights` [cells, edges, primitives] on `images` (B × 3 × H × W)."""


def mixed_op_network(supernet: SharedWeights) -> Mixed:
    """The relaxed network that reads the weights of a network of shared weights."""
    if isinstance(supernet, Supernet):
        return MixedSupernet(supernet)
    if isinstance(supernet, BenchmarkSupernet):
        return MixedBenchmarkSupernet(supernet)
    raise TypeError(f"no relaxation is known of {type(supernet).__name__}")


def multiply_adds(space: SearchSpace, network: Network, image_size: int) -> Tensor:
    """Multiply-adds of every primitive on every edge, summed over the cells of the network.

    Returns float64 [cells, edges, primitives] for images of `image_size` × `image_size` pixels.
    """
    return _of_darts(network, image_size) if space.name == "darts" else _of_benchmark(network, image_size)


def _of_darts(network: Network, image_size: int) -> Tensor:
    counted = torch.zeros(len(CELLS), EDGES, len(CANDIDATES), dtype=torch.float64)
    for shape, side in zip(cell_shapes(network), cell_sides(network, image_size), strict=False):
        for node in range(NODES):
            for source in range(node + 2):
                stride = edge_stride(shape, source)
                here = side if source < 2 else strided(side, edge_stride(shape, 0))
                costs = [0, *(build_cost(name, shape.channels, stride, here).multiply_adds for name in CANDIDATES[1:])]
                counted[CELLS.index(shape.kind), edge_index(node, source)] += torch.tensor(costs)
    return counted


def _of_benchmark(network: Network, image_size: int) -> Tensor:
    costs = torch.zeros(len(OPERATIONS), dtype=torch.float64)
    for stage, width in enumerate(widths(network.channels)):
        side = strided(image_size, 2**stage)
        each = [operation_cost(name, width, side).multiply_adds for name in OPERATIONS]
        costs += network.cells * torch.tensor(each)
    return costs.expand(1, len(BENCHMARK_EDGES), -1).clone()
