"""The networks of each search space: shared weights, mixed-operation network, fixed network, costs."""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network import nasbench201
from parsec.network.cell_network import PlainNetwork, network_cost
from parsec.network.layers import Cost, build_cost, strided
from parsec.network.mixed import MixedBenchmarkSupernet, MixedSupernet
from parsec.network.nasbench201 import BenchmarkNetwork, BenchmarkSupernet, operation_cost, widths
from parsec.network.skeleton import cell_shapes, cell_sides, edge_stride
from parsec.network.supernet import Supernet
from parsec.plugins import Registry
from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, Genotype, edge_index
from parsec.space.nasbench201 import EDGES as BENCHMARK_EDGES
from parsec.space.nasbench201 import OPERATIONS
from parsec.space.nasbench201 import Architecture as Benchmarked
from parsec.space.spaces import Architecture, SearchSpace

Child = Any
"""An architecture of the space that the shared weights belong to."""


class Parameters(Protocol):
    """All shared weights as one vector, which is what optimizers, gradient clipping and checkpoints see."""

    flat: nn.Parameter
    """The weights, [P]; the tensors that the network computes with are views of it."""

    @property
    def gradient(self) -> Tensor:
        """The gradient of `flat`, [P], to which every backward pass adds."""


class SharedWeights(Protocol):
    """The network of shared weights of a space."""

    @property
    def weights(self) -> Parameters:
        """Its weights."""

    def __call__(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child on `images` (B × 3 × H × W)."""


class Mixed(Protocol):
    """A relaxed network."""

    def __call__(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits (B × classes) of the mixture `weights` [cells, edges, primitives] on `images` (B × 3 × H × W)."""


class FlatParameters:
    """Parameters of a module as views of one vector; see `Parameters`."""

    def __init__(self, parameters: Sequence[nn.Parameter]) -> None:
        self.flat = nn.Parameter(torch.cat([parameter.detach().flatten() for parameter in parameters]))
        self.flat.grad = torch.zeros_like(self.flat)
        sizes = [parameter.numel() for parameter in parameters]
        parts = zip(parameters, self.flat.detach().split(sizes), self.flat.grad.split(sizes), strict=True)
        for parameter, value, gradient in parts:
            parameter.data, parameter.grad = value.view(parameter.shape), gradient.view(parameter.shape)

    @property
    def gradient(self) -> Tensor:
        """The flat gradient of `flat`."""
        assert self.flat.grad is not None
        return self.flat.grad


class SharedModule:
    """Shared weights in a PyTorch module whose forward takes (architecture, images) and returns logits."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module.train()
        self.weights = FlatParameters(list(module.parameters()))

    def __call__(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child on `images` (B × 3 × H × W)."""
        logits: Tensor = self.module(child, images)
        return logits

    def mixture(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits of a mixture of operations, see `Mixed`; the module's method of this name."""
        logits: Tensor = self.module.mixture(weights, images)  # type: ignore[operator]
        return logits


class SpaceNetworks:
    """The networks of a space; a space of one's own subclasses this and gives `supernet` and `cost`.

    `fixed` is for `Genotype.build`; `multiply_adds`, and a method `mixture` of the supernet, for the relaxed methods.
    """

    def supernet(self, network: Network, classes: int) -> nn.Module:
        """The module of shared weights, whose forward maps (architecture, images [B, 3, H, W]) to logits [B, classes].

        It is in training mode throughout: batch norm uses the statistics of the batch. It has no dropout, whose random
        numbers would not be those of the seed, and no state but its parameters.

        Args:
            network: size of the network as in the settings; the space chooses what `cells` and `channels` mean.
            classes: labels of the data set.
        """
        raise NotImplementedError(f"{type(self).__name__} has no supernet")

    def shared_weights(
        self, network: Network, classes: int, generator: torch.Generator, device: torch.device
    ) -> SharedWeights:
        """The shared weights with new values from a generator, on a device: by default those of `supernet`."""
        # Modules initialise themselves from the global generator; made on the CPU, they start equal on all devices.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(torch.randint(2**62, (), generator=generator)))
            module = self.supernet(network, classes)
        return SharedModule(module.to(device))

    def cost(self, architecture: Any, network: Network, classes: int, image_size: int) -> Cost:  # noqa: ANN401
        """Cost of an architecture as a fixed network of this size, on one image of `image_size` × `image_size`."""
        raise NotImplementedError(f"{type(self).__name__} has no cost")

    def fixed(
        self,
        architecture: Any,  # noqa: ANN401 - of the type of the space
        network: Network,
        classes: int,
        image_size: int,
        auxiliary: bool,
    ) -> nn.Module:
        """The network of one architecture: images [B, 3, H, W] to logits [B, classes].

        Weights are PyTorch's initial ones, from the global generator. With an auxiliary head the result in training is
        a tuple, the logits and those of the head.

        Raises:
            SettingsError: the space has no such network, or no auxiliary head.
        """
        raise SettingsError("this space has no network of a single architecture; its SpaceNetworks lacks `fixed`")

    def multiply_adds(self, network: Network, image_size: int) -> Tensor:
        """See `multiply_adds` below.

        Raises:
            SettingsError: the space has no mixed operations.
        """
        raise SettingsError("this space has no mixed-operation network; its SpaceNetworks lacks `multiply_adds`")


class DartsNetworks(SpaceNetworks):
    """Networks of the DARTS space."""

    def shared_weights(
        self, network: Network, classes: int, generator: torch.Generator, device: torch.device
    ) -> SharedWeights:
        """The supernet, with a vector of weights of its own."""
        return Supernet(network, classes, generator, device=device)

    def cost(self, architecture: Genotype, network: Network, classes: int, image_size: int) -> Cost:
        """Cost without auxiliary head."""
        return network_cost(architecture, network, classes, image_size)

    def fixed(
        self, architecture: Genotype, network: Network, classes: int, image_size: int, auxiliary: bool
    ) -> nn.Module:
        """The network that is retrained, without drop-path."""
        return PlainNetwork(architecture, network, classes, image_size, auxiliary)

    def multiply_adds(self, network: Network, image_size: int) -> Tensor:
        """Of both cells: an edge from the inputs of a reduction cell has stride 2."""
        counted = torch.zeros(len(CELLS), EDGES, len(CANDIDATES), dtype=torch.float64)
        for shape, side in zip(cell_shapes(network), cell_sides(network, image_size), strict=False):
            for node in range(NODES):
                for source in range(node + 2):
                    stride = edge_stride(shape, source)
                    here = side if source < 2 else strided(side, edge_stride(shape, 0))
                    costs = [build_cost(name, shape.channels, stride, here).multiply_adds for name in CANDIDATES[1:]]
                    counted[CELLS.index(shape.kind), edge_index(node, source)] += torch.tensor([0, *costs])
        return counted


class BenchmarkNetworks(SpaceNetworks):
    """Networks of NAS-Bench-201; `cells` are those of a stage."""

    def shared_weights(
        self, network: Network, classes: int, generator: torch.Generator, device: torch.device
    ) -> SharedWeights:
        """The supernet, with a vector of weights of its own."""
        return BenchmarkSupernet(network, classes, generator, device=device)

    def cost(self, architecture: Benchmarked, network: Network, classes: int, image_size: int) -> Cost:
        """Cost of the benchmark's network."""
        if network.stem != "cifar":
            raise SettingsError(f"network {network.stem}: nasbench201 has only the stem of cifar; choose that")
        return nasbench201.network_cost(architecture, classes, image_size, network.cells, network.channels)

    def fixed(
        self, architecture: Benchmarked, network: Network, classes: int, image_size: int, auxiliary: bool
    ) -> nn.Module:
        """The benchmark's network, which has no auxiliary head."""
        if auxiliary or network.stem != "cifar":
            raise SettingsError("networks of nasbench201 have the stem of cifar and no auxiliary head; leave them out")
        return BenchmarkNetwork(architecture, classes, network.cells, network.channels)

    def multiply_adds(self, network: Network, image_size: int) -> Tensor:
        """Equal for all edges."""
        costs = torch.zeros(len(OPERATIONS), dtype=torch.float64)
        for stage, width in enumerate(widths(network.channels)):
            side = strided(image_size, 2**stage)
            each = [operation_cost(name, width, side).multiply_adds for name in OPERATIONS]
            costs += network.cells * torch.tensor(each)
        return costs.expand(1, len(BENCHMARK_EDGES), -1).clone()


NETWORKS = Registry[SpaceNetworks]("networks of space", {"darts": DartsNetworks(), "nasbench201": BenchmarkNetworks()})
"""Networks of the spaces by name; `parsec.register_space` adds to them."""


def shared_weights(
    space: SearchSpace, network: Network, classes: int, generator: torch.Generator, device: torch.device
) -> SharedWeights:
    """The network that runs all architectures of a space, with new weights on a device."""
    return NETWORKS[space.name].shared_weights(network, classes, generator, device)


def child_cost(architecture: Architecture, network: Network, classes: int, image_size: int) -> Cost:
    """Cost of an architecture as a fixed network of this size, on one image of `image_size` × `image_size` pixels.

    Raises:
        SettingsError: a stem that the space does not have.
    """
    return NETWORKS[architecture.as_dict()["space"]].cost(architecture, network, classes, image_size)


def mixed_op_network(supernet: SharedWeights) -> Mixed:
    """The relaxed network that reads the weights of a network of shared weights."""
    if isinstance(supernet, Supernet):
        return MixedSupernet(supernet)
    if isinstance(supernet, BenchmarkSupernet):
        return MixedBenchmarkSupernet(supernet)
    if isinstance(supernet, SharedModule):
        return supernet.mixture
    raise TypeError(f"no relaxation is known of {type(supernet).__name__}")


def multiply_adds(space: SearchSpace, network: Network, image_size: int) -> Tensor:
    """Multiply-adds of every primitive on every edge, summed over the cells of the network.

    Returns float64 [cells, edges, primitives] for images of `image_size` × `image_size` pixels.
    """
    return NETWORKS[space.name].multiply_adds(network, image_size)
