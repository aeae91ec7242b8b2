"""The network of one genotype, trained from scratch (DARTS, section 3), and what it costs without building it.

B images, C channels, H × W pixels, D edges on which drop-path acts.
"""

import torch
from torch import Tensor, nn

from parsec.config.training import Network
from parsec.network.conv_cpu import join
from parsec.network.layers import (
    SEPARABLE,
    Cost,
    FactorizedReduce,
    ReluConvBN,
    build,
    build_cost,
    factorized_reduce_cost,
    relu_conv_bn_cost,
    strided,
    total,
)
from parsec.network.skeleton import (
    AuxiliaryHead,
    CellShape,
    Classifier,
    auxiliary_cell,
    cell_shapes,
    cell_sides,
    classifier_cost,
    edge_stride,
    output_channels,
    stem,
    stem_cost,
)
from parsec.runtime.rng import ShardedRNG
from parsec.space.darts import NODES, SLOTS, Cell, Genotype


class FixedCell(nn.Module):
    """One cell: two input layers, eight primitives, the nodes' sums concatenated."""

    def __init__(self, cell: Cell, shape: CellShape) -> None:
        super().__init__()
        entry = FactorizedReduce if shape.after_reduction else ReluConvBN
        self.before = entry(shape.channels_before_previous, shape.channels)
        self.previous = ReluConvBN(shape.channels_previous, shape.channels)
        edges = [edge for node in cell for edge in node]
        self.sources = [edge.input for edge in edges]
        self.edges = nn.ModuleList(build(e.primitive, shape.channels, edge_stride(shape, e.input)) for e in edges)
        self.dropped = [i for i, layer in enumerate(self.edges) if not isinstance(layer, nn.Identity)]

    def forward(self, before: Tensor, previous: Tensor, masks: Tensor | None) -> Tensor:
        """Map the outputs of the two cells before to this one's; `masks` [D, B, 1, 1, 1] scales the edges' images."""
        mask_of = {} if masks is None else dict(zip(self.dropped, masks, strict=True))
        states = [self.before(before), self.previous(previous)]
        for first in range(0, NODES * SLOTS, SLOTS):
            results = [self._edge(i, states, mask_of.get(i)) for i in range(first, first + SLOTS)]
            states.append(results[0] + results[1])
        return join(states[-NODES:])

    def _edge(self, index: int, states: list[Tensor], mask: Tensor | None) -> Tensor:
        result: Tensor = self.edges[index](states[self.sources[index]])
        return result if mask is None else result * mask


class FixedNetwork(nn.Module):
    """Stem, cells, classifier, and in training an auxiliary head after the second reduction.

    Raises:
        SettingsError: the image is too small for the auxiliary head.
    """

    def __init__(self, genotype: Genotype, network: Network, classes: int, image_size: int, auxiliary: bool) -> None:
        super().__init__()
        shapes = cell_shapes(network)
        cells = [FixedCell(genotype.reduce if shape.reduction else genotype.normal, shape) for shape in shapes]
        self.stem = stem(network.stem, network.channels)
        self.cells = nn.ModuleList(cells)
        self.classifier = Classifier(output_channels(network), classes)
        self.auxiliary_cell = inner = auxiliary_cell(network)
        self.auxiliary: nn.Module | None = None
        if auxiliary:
            side = cell_sides(network, image_size)[inner + 1]
            self.auxiliary = AuxiliaryHead(network.stem, NODES * shapes[inner].channels, classes, side)
        self.drops = [len(cell.dropped) for cell in cells]

    def forward(self, x: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Logits of images [B, 3, H, W].

        Args:
            x: normalised images.
            masks: factors of the edges as `masks` makes them; None leaves no edge out.

        Returns:
            logits [B, classes], and those of the auxiliary head in training where there is one, else None.
        """
        before, previous = self.stem(x)
        parts = [None] * len(self.cells) if masks is None else torch.split(masks.to(previous.dtype), self.drops)
        auxiliary = None
        for index, (cell, part) in enumerate(zip(self.cells, parts, strict=True)):
            before, previous = previous, cell(before, previous, part)
            if self.training and self.auxiliary is not None and index == self.auxiliary_cell:
                auxiliary = self.auxiliary(previous)
        return self.classifier(previous), auxiliary

    def masks(self, x: Tensor, drop_path: float | Tensor, rng: ShardedRNG) -> Tensor:
        """Drop-path for one pass over images [B, …]: every edge is left out for an image with probability `drop_path`.

        Returns factors of all edges, [ΣD, B, 1, 1, 1] float32: 0, or 1 / (1 − drop_path) where it stays.
        """
        # One draw for the whole network: one kernel launch instead of one per edge.
        uniform = rng.uniform(sum(self.drops), x.shape[0])[..., None, None, None]
        return (uniform >= drop_path) / (1.0 - drop_path)


class PlainNetwork(FixedNetwork):
    """The same network with the interface of any classifier; weights of a `FixedNetwork` fit."""

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # type: ignore[override]
        """Logits [B, classes] of images [B, 3, H, W]; with an auxiliary head in training, a tuple with those of both.

        Drop-path is left out.
        """
        logits, auxiliary = super().forward(x)
        return logits if auxiliary is None else (logits, auxiliary)


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
"""The same for executor `fused`, of which 35 to 39 were counted: the results of both convolutions of two stages of
eight edges make 32, states are kept as well, and gradients live for three cells at a time.
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
