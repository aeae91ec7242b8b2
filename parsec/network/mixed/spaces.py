"""The relaxed network of every search space, and what its primitives cost."""

from typing import Protocol

import torch
from torch import Tensor

from parsec.network.cost import strided
from parsec.network.executors.protocol import SharedWeights
from parsec.network.mixed.darts import MixedSupernet
from parsec.network.mixed.nasbench201 import MixedBenchmarkSupernet
from parsec.network.nasbench201 import operation_cost, widths
from parsec.network.nasbench201_supernet import BenchmarkSupernet
from parsec.network.primitives import build_cost
from parsec.network.sides import cell_sides, edge_stride
from parsec.network.stack import cell_shapes
from parsec.network.supernet import Supernet
from parsec.settings.training import Network
from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, edge_index
from parsec.space.nasbench201 import EDGES as BENCHMARK_EDGES
from parsec.space.nasbench201 import OPERATIONS
from parsec.space.spaces import SearchSpace


class Mixed(Protocol):
    """A relaxed network."""

    def __call__(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits (B × classes) of the mixture `weights` [cells, edges, primitives] on `images` (B × 3 × H × W)."""


def relaxed(supernet: SharedWeights) -> Mixed:
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
