"""The network of shared weights of every search space, and what one of its children costs."""

import torch

from parsec.errors import SettingsError
from parsec.network import complexity, nasbench201
from parsec.network.cost import Cost
from parsec.network.executors.protocol import SharedWeights
from parsec.network.nasbench201_supernet import BenchmarkSupernet
from parsec.network.supernet import Supernet
from parsec.settings.training import Network
from parsec.space.genotype import Genotype
from parsec.space.nasbench201 import Architecture as Benchmarked
from parsec.space.spaces import Architecture, SearchSpace

_NETWORKS: dict[str, type[Supernet] | type[BenchmarkSupernet]] = {"darts": Supernet, "nasbench201": BenchmarkSupernet}


def shared_weights(
    space: SearchSpace, network: Network, classes: int, generator: torch.Generator, device: torch.device
) -> SharedWeights:
    """The network that runs all architectures of a space, with new weights on a device."""
    return _NETWORKS[space.name](network, classes, generator, device=device)


def child_cost(found: Architecture, network: Network, classes: int, image_size: int) -> Cost:
    """Cost of an architecture as a fixed network of this size, on one image of `image_size` × `image_size` pixels.

    Raises:
        SettingsError: a stem that the space does not have.
    """
    if isinstance(found, Genotype):
        return complexity.network_cost(found, network, classes, image_size)
    if isinstance(found, Benchmarked):
        if network.stem != "cifar":
            raise SettingsError(f"network {network.stem}: nasbench201 has only the stem of cifar; choose that")
        return nasbench201.network_cost(found, classes, image_size, network.cells, network.channels)
    raise TypeError(f"no network is known for {type(found).__name__}")
