"""Sides of the maps along a stack of cells; maps are square, and every stride 2 rounds up."""

from parsec.network.cost import strided
from parsec.network.stack import CellShape
from parsec.settings.training import Network
from parsec.space.darts import is_reduction


def cell_sides(network: Network, image_size: int) -> list[int]:
    """Side of every cell's inputs, and at the end that of the last cell's output, pixels.

    Input 0 of a cell after a reduction is still twice as large when it arrives; the cell halves it first.
    """
    side = image_size if network.stem == "cifar" else strided(image_size, 8)
    sides = [side]
    for cell in range(network.cells):
        sides.append(strided(sides[-1], 2 if is_reduction(cell, network.cells) else 1))
    return sides


def edge_stride(shape: CellShape, source: int) -> int:
    """Stride of an edge from input number `source` of a cell: only the cell's own two inputs are reduced."""
    return 2 if shape.reduction and source < 2 else 1


def auxiliary_cell(network: Network) -> int:
    """Number of the cell after which the auxiliary head stands: the second reduction (DARTS)."""
    return 2 * network.cells // 3
