"""The network of shared weights: runs any child of the DARTS space without building it.

Dimensions: B images, C channels, H × W pixels, E edges. Batch norm uses the statistics of the batch and has no affine
parameters, and pooling is followed by batch norm (DARTS, search network).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.bank import Bank
from parsec.network.primitives import SEPARABLE, every_other_pixel, odd_pixels
from parsec.network.sides import edge_stride
from parsec.network.stack import CellShape, cell_shapes, output_channels, stem_channels
from parsec.settings.training import Network
from parsec.space.darts import EDGES, NODES, edge_index
from parsec.space.genotype import Cell, Edge, Genotype

SKIP = "skip_connect"


def _normalise(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def _project(x: Tensor, weight: Tensor) -> Tensor:
    """ReLU, 1 × 1 convolution, batch norm."""
    return _normalise(F.conv2d(F.relu(x), weight))


def _halve(x: Tensor, even: Tensor, odd: Tensor) -> Tensor:
    """Factorised reduction: half of the channels from even pixels, half from odd ones."""
    x = F.relu(x)
    return _normalise(torch.cat([every_other_pixel(x, even), every_other_pixel(odd_pixels(x), odd)], 1))


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
        before, last = self._stem(images)
        for index, shape in enumerate(self.shapes):
            before, last = last, self._cell(index, shape, getattr(child, shape.kind), before, last)
        weight, bias = self.bank("classifier.weight"), self.bank("classifier.bias")
        # Likelihoods are exponentiated, so the logits behind them are never rounded to bfloat16.
        with torch.autocast(images.device.type, enabled=False):
            return F.linear(last.mean((2, 3), dtype=weight.dtype), weight, bias)

    def _stem(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.network.stem == "cifar":
            x = _normalise(F.conv2d(x, self.bank("stem.0"), padding=1))
            return x, x
        x = F.relu(_normalise(F.conv2d(x, self.bank("stem.0"), stride=2, padding=1)))
        before = _normalise(F.conv2d(x, self.bank("stem.1"), stride=2, padding=1))
        return before, _normalise(F.conv2d(F.relu(before), self.bank("stem.2"), stride=2, padding=1))

    def _cell(self, index: int, shape: CellShape, cell: Cell, before: Tensor, last: Tensor) -> Tensor:
        states = [self._align(index, shape, before), _project(last, self.bank(f"cells.{index}.last"))]
        for node, edges in enumerate(cell):
            first, second = (self._edge(index, shape, node, edge, states[edge.input]) for edge in edges)
            states.append(first + second)
        return torch.cat(states[2:], 1)

    def _align(self, index: int, shape: CellShape, before: Tensor) -> Tensor:
        """Bring the output of the cell before the last one to this cell's channels and resolution."""
        name = f"cells.{index}.before"
        if shape.after_reduction:
            return _halve(before, self.bank(f"{name}.even"), self.bank(f"{name}.odd"))
        return _project(before, self.bank(name))

    def _edge(self, index: int, shape: CellShape, node: int, edge: Edge, x: Tensor) -> Tensor:
        stride = edge_stride(shape, edge.input)
        if edge.primitive == "max_pool_3x3":
            return _normalise(F.max_pool2d(x, 3, stride, padding=1))
        if edge.primitive == "avg_pool_3x3":
            return _normalise(F.avg_pool2d(x, 3, stride, padding=1, count_include_pad=False))
        if edge.primitive == SKIP:
            return x if stride == 1 else self._halve_edge(index, node, edge.input, x)
        return self._separable(f"cells.{index}.{edge.primitive}", edge_index(node, edge.input), stride, x)

    def _halve_edge(self, index: int, node: int, source: int, x: Tensor) -> Tensor:
        row, name = 2 * node + source, f"cells.{index}.{SKIP}"
        return _halve(x, self.bank(f"{name}.even", row), self.bank(f"{name}.odd", row))

    def _separable(self, name: str, row: int, stride: int, x: Tensor) -> Tensor:
        kind = SEPARABLE[name.rsplit(".", 1)[1]]
        for repeat in range(kind.repeats):
            depthwise = self.bank(f"{name}.{repeat}.depthwise", row)
            x = F.conv2d(
                F.relu(x), depthwise, None, stride if repeat == 0 else 1, kind.padding, kind.dilation, x.shape[1]
            )
            x = _normalise(F.conv2d(x, self.bank(f"{name}.{repeat}.pointwise", row)))
        return x
