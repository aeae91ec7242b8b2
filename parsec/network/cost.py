"""Costs of layers: parameters and multiply-adds, counted from shapes, without torch."""

from collections.abc import Iterable
from typing import NamedTuple


class Cost(NamedTuple):
    """Cost of a layer or a network on one image."""

    parameters: int
    """Learnt numbers: weights, biases, and the scale and shift of batch norm."""
    multiply_adds: int
    """Of convolutions and linear layers, forward, as the literature counts them; padding counts as input."""


FREE = Cost(0, 0)


def total(costs: Iterable[Cost]) -> Cost:
    """Sum of costs, part by part (`+` would join the tuples)."""
    parts = list(costs)
    return Cost(sum(cost.parameters for cost in parts), sum(cost.multiply_adds for cost in parts))


def strided(side: int, stride: int) -> int:
    """Side of the map that a stride leaves of `side` pixels: every layer here pads so that it rounds up."""
    return -(-side // stride)


def conv_cost(inputs: int, outputs: int, kernel: int, side: int, groups: int = 1) -> Cost:
    """Cost of a square convolution without bias; `side` is that of its output map, pixels."""
    weights = inputs // groups * outputs * kernel**2
    return Cost(weights, weights * side**2)


def batch_norm_cost(channels: int) -> Cost:
    """Cost of batch norm with a scale and a shift per channel."""
    return Cost(2 * channels, 0)


def linear_cost(inputs: int, outputs: int) -> Cost:
    """Cost of a linear layer with bias."""
    return Cost((inputs + 1) * outputs, inputs * outputs)
