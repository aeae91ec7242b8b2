"""What PARSEC's executors are compared with: plain eager networks of DARTS' search space, an ordinary module an edge.

B images.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.bench.modules import Stem, align, primitive, relu_conv_norm
from parsec.network.heads import AuxiliaryHead
from parsec.network.sides import auxiliary_cell, cell_sides, edge_stride
from parsec.network.stack import CellShape, cell_shapes, output_channels
from parsec.settings.training import Network
from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, SLOTS, edge_index
from parsec.space.genotype import Cell, Genotype

Step = Callable[[], object]


class ChildCell(nn.Module):
    """A cell of one architecture: a module for each of its two inputs and eight edges."""

    def __init__(self, cell: Cell, shape: CellShape, affine: bool = False) -> None:
        super().__init__()
        self.before = align(shape, affine)
        self.last = relu_conv_norm(shape.channels_previous, shape.channels, affine)
        edges = [edge for node in cell for edge in node]
        self.sources = [edge.input for edge in edges]
        self.edges = nn.ModuleList(
            primitive(e.primitive, shape.channels, edge_stride(shape, e.input), affine) for e in edges
        )

    def forward(self, before: Tensor, last: Tensor, drop_path: float = 0.0) -> Tensor:
        """The nodes, concatenated; every edge but the identity is left out with the probability `drop_path`."""
        states = [self.before(before), self.last(last)]
        for slot in range(0, NODES * SLOTS, SLOTS):
            first, second = (self._edge(i, states, drop_path) for i in (slot, slot + 1))
            states.append(first + second)
        return torch.cat(states[-NODES:], dim=1)

    def _edge(self, index: int, states: list[Tensor], drop_path: float) -> Tensor:
        layer = self.edges[index]
        x: Tensor = layer(states[self.sources[index]])
        if drop_path == 0.0 or isinstance(layer, nn.Identity):
            return x
        return x / (1.0 - drop_path) * torch.empty(len(x), 1, 1, 1, device=x.device).bernoulli_(1.0 - drop_path)


class PlainChild(nn.Module):
    """One child of the search network as a network of its own."""

    def __init__(self, child: Genotype, network: Network, classes: int, affine: bool = False) -> None:
        super().__init__()
        self.stem, shapes = Stem(network, affine), cell_shapes(network)
        self.cells = nn.ModuleList(ChildCell(getattr(child, shape.kind), shape, affine) for shape in shapes)
        self.classifier = nn.Linear(output_channels(network), classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B × classes) of images (B × 3 × H × W)."""
        before, last = self.stem(images)
        for cell in self.cells:
            before, last = last, cell(before, last)
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits


class PlainNetwork(PlainChild):
    """The network of a genotype as DARTS trains it from scratch: scale and shift, auxiliary head, drop-path."""

    def __init__(self, child: Genotype, network: Network, classes: int, image_size: int) -> None:
        super().__init__(child, network, classes, affine=True)
        self.inner = auxiliary_cell(network)
        channels, side = NODES * cell_shapes(network)[self.inner].channels, cell_sides(network, image_size)
        self.auxiliary = AuxiliaryHead(network.stem, channels, classes, side[self.inner + 1])

    def run(self, images: Tensor, drop_path: float) -> tuple[Tensor, Tensor]:
        """Logits of images, and those of the auxiliary head."""
        before, last = self.stem(images)
        for index, cell in enumerate(self.cells):
            before, last = last, cell(before, last, drop_path)
            if index == self.inner:
                auxiliary = self.auxiliary(last)
        return self.classifier(last.mean((2, 3))), auxiliary


class MixedOperation(nn.Module):
    """All candidates of one edge, summed with weights (DARTS, equation 2)."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.candidates = nn.ModuleList(primitive(name, channels, stride) for name in CANDIDATES)

    def forward(self, x: Tensor, weights: Tensor) -> Tensor:
        """Σ_o weights[o] · o(x)."""
        result: Tensor = sum(weight * layer(x) for weight, layer in zip(weights, self.candidates, strict=True))
        return result


class MixedCell(nn.Module):
    """A cell of the supernet: a mixed operation at each of its 14 edges."""

    def __init__(self, shape: CellShape) -> None:
        super().__init__()
        self.before, self.last = align(shape), relu_conv_norm(shape.channels_previous, shape.channels)
        pairs = [(node, source) for node in range(NODES) for source in range(node + 2)]
        self.edges = nn.ModuleList(MixedOperation(shape.channels, edge_stride(shape, source)) for _, source in pairs)

    def forward(self, before: Tensor, last: Tensor, weights: Tensor) -> Tensor:
        """The nodes, concatenated; `weights` are those of the edges (14 × 8)."""
        states = [self.before(before), self.last(last)]
        for node in range(NODES):
            first = edge_index(node, 0)
            states.append(sum(self.edges[first + i](x, weights[first + i]) for i, x in enumerate(states)))
        return torch.cat(states[-NODES:], dim=1)


class Darts(nn.Module):
    """DARTS' supernet (arXiv 1806.09055), built as its published code builds it; its stem has scale and shift.

    Only the architecture's parameters start at zero instead of within thousandths of it, which changes no time.
    """

    def __init__(self, network: Network, classes: int) -> None:
        super().__init__()
        self.stem = Stem(network, affine=True)
        self.kinds = [shape.kind for shape in cell_shapes(network)]
        self.cells = nn.ModuleList(MixedCell(shape) for shape in cell_shapes(network))
        self.classifier = nn.Linear(output_channels(network), classes)
        self.alphas = nn.ParameterDict({kind: torch.zeros(EDGES, len(CANDIDATES)) for kind in CELLS})

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B × classes) of images (B × 3 × H × W)."""
        before, last = self.stem(images)
        for kind, cell in zip(self.kinds, self.cells, strict=True):
            before, last = last, cell(before, last, self.alphas[kind].softmax(-1))
        logits: Tensor = self.classifier(last.mean((2, 3)))
        return logits

    def weights(self) -> list[nn.Parameter]:
        """The weights without the architecture's parameters."""
        return [parameter for name, parameter in self.named_parameters() if not name.startswith("alphas.")]


def darts_iteration(model: Darts, images: Tensor, labels: Tensor, autocast: Callable[[], torch.autocast]) -> Step:
    """DARTS' first-order iteration with its published optimisers: a validation step for α, a training step for v.

    Both are on the same images here, which changes no time. As in the published code, the validation step computes the
    gradients of the weights as well.
    """
    adam = torch.optim.Adam(model.alphas.parameters(), lr=3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    sgd = torch.optim.SGD(model.weights(), lr=0.025, momentum=0.9, weight_decay=3e-4)

    def backward() -> None:
        with autocast():
            logits = model(images)
        F.cross_entropy(logits.float(), labels).backward()

    def step() -> None:
        adam.zero_grad()
        backward()
        adam.step()
        sgd.zero_grad()
        backward()
        torch.nn.utils.clip_grad_norm_(model.weights(), 5.0)
        sgd.step()

    return step
