"""Initial weights from a named random stream instead of the global one (PyTorch's defaults, as DARTS uses them)."""

import math

import torch
from torch import nn


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions and linear layers anew, in module order; batch norm keeps 1 and 0.

    Weights are uniform with standard deviation 1/√(3·fan_in), biases uniform within ±1/√fan_in.
    `generator` is on the device of the network.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_uniform_(layer.weight, a=math.sqrt(5), generator=generator)
            if layer.bias is not None:
                bound = 1 / math.sqrt(layer.weight[0].numel())
                nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
