"""Initial weights for scores: PyTorch's, and those of the ablation (NASWOT, figure 5)."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from parsec.network.initialise import initialise
from parsec.settings.score import Initialisation

Draw = Callable[[Tensor, torch.Generator], object]


def _identity(weight: Tensor, generator: torch.Generator) -> Tensor:
    return nn.init.dirac_(weight) if weight.dim() == 4 else nn.init.eye_(weight)


_DRAWS: dict[Initialisation, Draw] = {
    "normal": lambda weight, generator: nn.init.normal_(weight, generator=generator),
    "uniform": lambda weight, generator: nn.init.uniform_(weight, generator=generator),
    "orthogonal": lambda weight, generator: nn.init.orthogonal_(weight, generator=generator),
    "identity": _identity,
}


def draw_weights(network: nn.Module, initialisation: Initialisation, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions and linear layers anew; biases are PyTorch's, batch norm keeps 1 and 0."""
    initialise(network, generator)
    if initialisation == "default":
        return
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            _DRAWS[initialisation](layer.weight, generator)
