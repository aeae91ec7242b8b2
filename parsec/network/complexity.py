"""Parameters, multiply-adds and memory of networks of the DARTS space, without building them."""

from parsec.config.training import Network
from parsec.network.cost import Cost, strided, total
from parsec.network.layers import SEPARABLE, build_cost, factorized_reduce_cost, relu_conv_bn_cost
from parsec.network.skeleton import (
    CellShape,
    cell_shapes,
    cell_sides,
    classifier_cost,
    edge_stride,
    output_channels,
    stem_cost,
)
from parsec.space.darts import NODES, SLOTS, Cell, Genotype

__all__ = ["Cost", "network_cost", "total"]


def _inputs_cost(shape: CellShape, side: int) -> Cost:
    """Cost of the two layers that bring a cell's inputs to its channels and to `side` × `side` pixels."""
    if shape.after_reduction:
        before = factorized_reduce_cost(shape.channels_before_previous, shape.channels, 2 * side)
    else:
        before = relu_conv_bn_cost(shape.channels_before_previous, shape.channels, side)
    return total((before, relu_conv_bn_cost(shape.channels_previous, shape.channels, side)))


def cell_cost(cell: Cell, shape: CellShape, side: int) -> Cost:
    """Cost of one cell at one place of the stack, where its inputs have `side` × `side` pixels."""
    costs = [_inputs_cost(shape, side)]
    for edge in (edge for node in cell for edge in node):
        stride = edge_stride(shape, edge.input)
        inner = side if edge.input < 2 or not shape.reduction else strided(side, 2)
        costs.append(build_cost(edge.primitive, shape.channels, stride, inner))
    return total(costs)


def network_cost(genotype: Genotype, network: Network, classes: int, image_size: int) -> Cost:
    """Cost of `FixedNetwork` without auxiliary head, forward on one image of `image_size` × `image_size` pixels."""
    cells = [
        cell_cost(genotype.reduce if shape.reduction else genotype.normal, shape, side)
        for shape, side in zip(cell_shapes(network), cell_sides(network, image_size), strict=False)
    ]
    ends = (stem_cost(network.stem, network.channels, image_size), classifier_cost(output_channels(network), classes))
    return total((*ends, *cells))


MAPS = 72
"""Maps that training a child keeps in a cell at most, in units of the cell's own map.

The hungriest child, of only separable convolutions, keeps 55 in large maps and up to 69 in very small ones: five for
each of its eight edges, the rest nodes, joined copies and what the backward pass holds. A reduction cell keeps as many
again, because the maps that it reads are four times as large. Tests compare the bound with what is measured.
"""

TABLE_MAPS = 40
"""The same for executor `fused`: six states and the results of two stages of eight edges, before batch norm; their
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
    """Weights of a cell's edges beside those of other children, and their gradients: at most two pairs per edge."""
    widest = max(kind.kernel for kind in SEPARABLE.values())
    return 2 * NODES * SLOTS * 2 * (channels**2 + channels * widest**2)
