"""The stack of cells that both the shared-weight and the fixed network are built from (DARTS, section 3)."""

from typing import NamedTuple

from parsec.settings.training import Network
from parsec.space.darts import NODES, is_reduction

STEM_WIDTH = 3
"""Channels of the CIFAR stem, in units of the first cell's channels."""


class CellShape(NamedTuple):
    """Channels and strides of one cell."""

    reduction: bool
    after_reduction: bool
    channels: int
    channels_before_previous: int
    channels_previous: int

    @property
    def kind(self) -> str:
        """Which of the genotype's two cells stands here."""
        return "reduce" if self.reduction else "normal"


def stem_channels(network: Network) -> int:
    """Channels that the stem hands to the first cell."""
    return STEM_WIDTH * network.channels if network.stem == "cifar" else network.channels


def cell_shapes(network: Network) -> list[CellShape]:
    """Shapes of all cells from the stem up: channels double and resolution halves at one and two thirds."""
    before = previous = stem_channels(network)
    channels, after_reduction = network.channels, network.stem == "imagenet"
    shapes = []
    for index in range(network.cells):
        reduction = is_reduction(index, network.cells)
        channels *= 2 if reduction else 1
        shapes.append(CellShape(reduction, after_reduction, channels, before, previous))
        before, previous, after_reduction = previous, NODES * channels, reduction
    return shapes


def output_channels(network: Network) -> int:
    """Channels of the last cell's output, which the classifier reads."""
    return NODES * cell_shapes(network)[-1].channels
