"""How much memory a child takes in a training step, counted from shapes: what decides how many run at once."""

from parsec.network.primitives import SEPARABLE
from parsec.network.sides import cell_sides
from parsec.network.stack import cell_shapes
from parsec.settings.training import Network
from parsec.space.darts import NODES, SLOTS

MAPS = 72
"""Maps that training a child keeps in a cell at most, in units of the cell's own map.

The hungriest child, of separable convolutions alone, keeps 55 in large maps and up to 69 in very small ones: five for
each of its eight edges, the rest nodes, joined copies and what the backward pass holds. A reduction cell keeps as many
again, because the maps that it reads are four times as large. Tests compare the bound with what is measured.
"""

TABLE_MAPS = 40
"""The same for executor `table`: six states and the results of two stages of eight picks, before batch norm; their
gradients, which live for three cells at a time, and the scratch of one launch make the rest.
"""


def map_bytes(network: Network, batch_size: int, image_size: int, item_bytes: int = 4) -> int:
    """Bytes of one map of the first cell for a minibatch: B · C · H · W numbers of `item_bytes`."""
    return batch_size * network.channels * cell_sides(network, image_size)[0] ** 2 * item_bytes


def child_bytes(network: Network, batch_size: int, image_size: int, item_bytes: int = 4, maps: int = MAPS) -> int:
    """Upper bound of what forward and backward pass of one child take beside weights and gradient, bytes."""
    shapes, sides = cell_shapes(network), cell_sides(network, image_size)[1:]
    units = sum((2 if s.reduction else 1) * s.channels * side**2 for s, side in zip(shapes, sides, strict=True))
    return (maps * units * batch_size + sum(_gathered(shape.channels) for shape in shapes)) * item_bytes


def _gathered(channels: int) -> int:
    """Weights of a cell's edges beside those of other children, and their gradients: two pairs an edge at most."""
    widest = max(kind.kernel for kind in SEPARABLE.values())
    return 2 * NODES * SLOTS * 2 * (channels**2 + channels * widest**2)
