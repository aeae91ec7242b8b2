"""Initial weights for scores: PyTorch's, and those of the ablation (NASWOT, figure 5)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from parsec.network.initialise import initialise
from parsec.settings.score import Initialisation

Layer = nn.Conv2d | nn.Linear
Draw = Callable[[Layer, torch.Generator], object]


def _identity(layer: Layer, generator: torch.Generator) -> Tensor:
    # Every group is an identity of its own: a depthwise convolution passes on all of its channels.
    return nn.init.dirac_(layer.weight, layer.groups) if isinstance(layer, nn.Conv2d) else nn.init.eye_(layer.weight)


_DRAWS: dict[Initialisation, Draw] = {
    "normal": lambda layer, generator: nn.init.normal_(layer.weight, generator=generator),
    "uniform": lambda layer, generator: nn.init.uniform_(layer.weight, generator=generator),
    "orthogonal": lambda layer, generator: nn.init.orthogonal_(layer.weight, generator=generator),
    "identity": _identity,
}


def draw_weights(network: nn.Module, initialisation: Initialisation, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions and linear layers anew; biases are PyTorch's, batch norm keeps 1 and 0."""
    initialise(network, generator)
    if initialisation == "default":
        return
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            _DRAWS[initialisation](layer, generator)
