"""Parameters and multiply-adds of a fixed network, counted from its shape without building it."""

from parsec.network.cost import Cost, strided, total
from parsec.network.heads import classifier_cost, stem_cost
from parsec.network.primitives import build_cost, factorized_reduce_cost, relu_conv_bn_cost
from parsec.network.sides import cell_sides, edge_stride
from parsec.network.stack import CellShape, cell_shapes, output_channels
from parsec.settings.training import Network
from parsec.space.genotype import Cell, Genotype

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
