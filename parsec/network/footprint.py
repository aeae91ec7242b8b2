"""How much memory a child takes in a training step, counted from shapes: what decides how many run at once."""

from parsec.network.sides import cell_sides
from parsec.network.stack import cell_shapes
from parsec.settings.training import Network

MAPS = 72
"""Maps that training a child keeps in a cell at most, in units of the cell's own map.

The hungriest child, of separable convolutions alone, keeps 55 in large maps and up to 69 in very small ones: five for
each of its eight edges, the rest nodes, joined copies and what the backward pass holds. A reduction cell keeps as many
again, because the maps that it reads are four times as large. Tests compare the bound with what is measured.
"""


def map_bytes(network: Network, batch_size: int, image_size: int, item_bytes: int = 4) -> int:
    """Bytes of one map of the first cell for a minibatch: B · C · H · W numbers of `item_bytes`."""
    return batch_size * network.channels * cell_sides(network, image_size)[0] ** 2 * item_bytes


def child_bytes(network: Network, batch_size: int, image_size: int, item_bytes: int = 4) -> int:
    """Upper bound of what forward and backward pass of one child take beside weights and gradient, bytes."""
    cells = zip(cell_shapes(network), cell_sides(network, image_size)[1:], strict=True)
    units = sum((2 if shape.reduction else 1) * shape.channels * side**2 for shape, side in cells)
    return MAPS * units * batch_size * item_bytes
