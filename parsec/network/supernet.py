"""The network of shared weights: runs any child of the DARTS space without building it.

Pooling is followed by batch norm (DARTS, search network). A state's ReLU is computed once for all edges that
read it, and cells hand on their output after ReLU, because nothing reads it otherwise.

B images, C channels, H × W pixels, G maps stacked along channels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.bank import Bank
from parsec.network.channels_last import join
from parsec.network.layers import halve, halve_each, normalise, pool, project, separable
from parsec.network.primitives import SEPARABLE
from parsec.network.sides import edge_stride
from parsec.network.stack import CellShape, cell_shapes, output_channels, stem_channels
from parsec.settings.training import Network
from parsec.space.darts import EDGES, NODES, edge_index
from parsec.space.genotype import Cell, Edge, Genotype

SKIP = "skip_connect"


def _stacked_shapes(index: int, shape: CellShape) -> dict[str, tuple[int, ...]]:
    """Weights of a cell that exist once an edge."""
    c = shape.channels
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kind in SEPARABLE.items():
        for repeat in range(kind.repeats):
            shapes[f"cells.{index}.{name}.{repeat}.depthwise"] = (EDGES, c, 1, kind.kernel, kind.kernel)
            shapes[f"cells.{index}.{name}.{repeat}.pointwise"] = (EDGES, c, c, 1, 1)
    if shape.reduction:
        for half in ("even", "odd"):
            shapes[f"cells.{index}.{SKIP}.{half}"] = (2 * NODES, c // 2, c, 1, 1)
    return shapes


def _plain_shapes(index: int, shape: CellShape) -> dict[str, tuple[int, ...]]:
    """Weights of a cell that every child uses: the projections of its two inputs."""
    before = {"": shape.channels}
    if shape.after_reduction:
        before = {".even": shape.channels // 2, ".odd": shape.channels // 2}
    shapes: dict[str, tuple[int, ...]] = {
        f"cells.{index}.before{half}": (channels, shape.channels_before_previous, 1, 1)
        for half, channels in before.items()
    }
    return shapes | {f"cells.{index}.last": (shape.channels, shape.channels_previous, 1, 1)}


def _stem_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    out = stem_channels(network)
    if network.stem == "cifar":
        return {"stem.0": (out, 3, 3, 3)}
    return {"stem.0": (out // 2, 3, 3, 3), "stem.1": (out, out // 2, 3, 3), "stem.2": (out, out, 3, 3)}


class Supernet:
    """All children of the space in one `Bank` of shared weights."""

    def __init__(
        self,
        network: Network,
        classes: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.network = network
        self.shapes = cell_shapes(network)
        stacked: dict[str, tuple[int, ...]] = {}
        plain = _stem_shapes(network)
        for index, shape in enumerate(self.shapes):
            stacked |= _stacked_shapes(index, shape)
            plain |= _plain_shapes(index, shape)
        plain |= {"classifier.weight": (classes, output_channels(network)), "classifier.bias": (classes,)}
        self.bank = Bank(stacked, plain, generator, device, dtype)

    def __call__(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child on `images` (B × 3 × H × W)."""
        before, last = self.stem(images)
        for index, shape in enumerate(self.shapes):
            states, rectified = self._cell(index, shape, getattr(child, shape.kind), before, last)
            ends = index == len(self.shapes) - 1
            before, last = (
                last,
                join(states if ends else [_relu(*pair) for pair in zip(states, rectified, strict=True)]),
            )
        return self.classify(last.mean((2, 3), dtype=self.bank.flat.dtype))

    def classify(self, features: Tensor) -> Tensor:
        """Logits (… × classes) of the last cell's channel means (… × 4 C)."""
        # Likelihoods are exponentiated, so the logits behind them are never rounded to bfloat16.
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(features, self.bank("classifier.weight"), self.bank("classifier.bias"))

    def stem(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two inputs of the first cell, after ReLU: everything that reads the output of a stem or cell does so."""
        if self.network.stem == "cifar":
            x = F.relu(normalise(F.conv2d(x, self.bank("stem.0"), padding=1)))
            return x, x
        x = F.relu(normalise(F.conv2d(x, self.bank("stem.0"), stride=2, padding=1)))
        before = F.relu(normalise(F.conv2d(x, self.bank("stem.1"), stride=2, padding=1)))
        return before, F.relu(normalise(F.conv2d(before, self.bank("stem.2"), stride=2, padding=1)))

    def _cell(
        self, index: int, shape: CellShape, cell: Cell, before: Tensor, last: Tensor
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """Nodes of a cell on the rectified outputs of the two cells before, and their ReLU where it is known."""
        states = list(self.align(index, shape, before, last))
        rectified: list[Tensor | None] = [None] * (2 + NODES)
        for node, edges in enumerate(cell):
            for edge in edges:
                if needs_relu(edge.primitive, edge_stride(shape, edge.input)):
                    rectified[edge.input] = _relu(states[edge.input], rectified[edge.input])
            first, second = (self._edge(index, shape, node, e, states[e.input], rectified[e.input]) for e in edges)
            states.append(first + second)
        return states[2:], rectified[2:]

    def align(self, index: int, shape: CellShape, before: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Bring rectified outputs of the two cells before, of G children, to this cell's channels and resolution."""
        name = f"cells.{index}"
        aligned = project(last, self.bank(f"{name}.last"), last.shape[1] // shape.channels_previous)
        if shape.after_reduction:
            return halve(before, self.bank(f"{name}.before.even"), self.bank(f"{name}.before.odd")), aligned
        groups = before.shape[1] // shape.channels_before_previous
        return project(before, self.bank(f"{name}.before"), groups), aligned

    def _edge(self, index: int, shape: CellShape, node: int, edge: Edge, x: Tensor, rectified: Tensor | None) -> Tensor:
        stride = edge_stride(shape, edge.input)
        if not needs_relu(edge.primitive, stride):
            return x if edge.primitive == SKIP else pool(edge.primitive, x, stride)
        assert rectified is not None
        return self.convolve(index, edge.primitive, [(node, edge.input)], stride, rectified)

    def convolve(self, index: int, primitive: str, edges: Sequence[tuple[int, int]], stride: int, x: Tensor) -> Tensor:
        """A primitive with weights on G stacked rectified maps, one for every (node, input) of `edges`."""
        name, groups = f"cells.{index}.{primitive}", len(edges)
        if primitive == SKIP:
            rows = [2 * node + source for node, source in edges]
            return halve_each(x, self._gathered(f"{name}.even", rows), self._gathered(f"{name}.odd", rows), groups)
        rows, kind = [edge_index(*edge) for edge in edges], SEPARABLE[primitive]
        weights = [
            (self._gathered(f"{name}.{i}.depthwise", rows), self._gathered(f"{name}.{i}.pointwise", rows))
            for i in range(kind.repeats)
        ]
        return separable(x, kind, stride, weights, groups)

    def _gathered(self, name: str, rows: Sequence[int]) -> Tensor:
        """Weights of these edges, one after another."""
        weights = [self.bank(name, row) for row in rows]
        return weights[0] if len(weights) == 1 else torch.cat(weights)


def needs_relu(primitive: str, stride: int) -> bool:
    """Whether a primitive begins with ReLU: all but pooling and the identity."""
    return primitive in SEPARABLE or (primitive == SKIP and stride > 1)


def _relu(state: Tensor, known: Tensor | None) -> Tensor:
    return F.relu(state) if known is None else known
