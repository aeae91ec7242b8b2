"""What PARSEC's executors are compared with: plain eager networks of DARTS' search space, one module per edge.

B images. Batch norm has no scale and shift in the search network, and has them (`affine`) in one trained from scratch.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.bench.harness import Step
from parsec.config.training import Network
from parsec.network.layers import SEPARABLE
from parsec.network.skeleton import (
    AuxiliaryHead,
    CellShape,
    auxiliary_cell,
    cell_shapes,
    cell_sides,
    edge_stride,
    output_channels,
    stem_channels,
)
from parsec.space.darts import CANDIDATES, CELLS, EDGES, NODES, SLOTS, Cell, Genotype, edge_index


class Zero(nn.Module):
    """No connection: zeros that still cost a pass over the map."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the layer's output shape."""
        return x[:, :, :: self.stride, :: self.stride].mul(0.0)


class Halve(nn.Conv2d):
    """A 1 × 1 convolution of stride 2.

    On a CPU with few channels, channels last, the backward pass of PyTorch's own writes past its memory (oneDNN, torch
    2.13: seen below 8 channels with AVX2, whose vectors hold 8 numbers; AVX-512's hold 16), so pixels are picked there.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution."""
        if x.shape[1] < 16 and x.device.type == "cpu" and x.stride(1) == 1:
            return F.conv2d(x[:, :, ::2, ::2], self.weight)
        return super().forward(x)


def odd_pixels(x: Tensor) -> Tensor:
    """The map from its second row and column on, [B, C, 2⌈H/2⌉ − 1, 2⌈W/2⌉ − 1]: a stride of 2 picks the odd pixels."""
    shifted = x[:, :, 1:, 1:]
    if x.shape[2] % 2 or x.shape[3] % 2:
        # An odd side has one odd pixel fewer than even ones; a zero border makes both halves agree.
        shifted = F.pad(shifted, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    return shifted


class FactorizedReduce(nn.Module):
    """ReLU, two 1 × 1 convolutions of stride 2 on the even and the odd pixels, batch norm."""

    def __init__(self, inputs: int, outputs: int, affine: bool = False) -> None:
        super().__init__()
        self.relu = nn.ReLU()
        self.even = Halve(inputs, outputs // 2)
        self.odd = Halve(inputs, outputs // 2)
        self.norm = nn.BatchNorm2d(outputs, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution."""
        x = self.relu(x)
        result: Tensor = self.norm(torch.cat([self.even(x), self.odd(odd_pixels(x))], dim=1))
        return result


class Stem(nn.Module):
    """Convolutions before the first cell: one for small images, three of stride 2 for large ones."""

    def __init__(self, network: Network, affine: bool) -> None:
        super().__init__()
        out, small = stem_channels(network), network.stem == "cifar"

        def conv(inputs: int, outputs: int) -> list[nn.Module]:
            layer = nn.Conv2d(inputs, outputs, 3, stride=1 if small else 2, padding=1, bias=False)
            return [layer, nn.BatchNorm2d(outputs, affine=affine)]

        before = conv(3, out) if small else [*conv(3, out // 2), nn.ReLU(), *conv(out // 2, out)]
        self.before = nn.Sequential(*before)
        self.last = nn.Identity() if small else nn.Sequential(nn.ReLU(), *conv(out, out))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs 0 and 1 of the first cell."""
        before = self.before(x)
        return before, self.last(before)


def relu_conv_norm(inputs: int, outputs: int, affine: bool = False) -> nn.Module:
    """ReLU, 1 × 1 convolution, batch norm."""
    return nn.Sequential(nn.ReLU(), nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs, affine=affine))


def align(shape: CellShape, affine: bool = False) -> nn.Module:
    """Preprocessing of a cell's first input, the output of the cell before the last, to its channels and resolution."""
    entry = FactorizedReduce if shape.after_reduction else relu_conv_norm
    return entry(shape.channels_before_previous, shape.channels, affine)


def _separable(primitive: str, channels: int, stride: int, affine: bool) -> nn.Module:
    kind = SEPARABLE[primitive]
    layers: list[nn.Module] = []
    for repeat in range(kind.repeats):
        step = stride if repeat == 0 else 1
        depthwise = nn.Conv2d(
            channels, channels, kind.kernel, step, kind.padding, kind.dilation, groups=channels, bias=False
        )
        layers += [nn.ReLU(), depthwise, nn.Conv2d(channels, channels, 1, bias=False)]
        layers.append(nn.BatchNorm2d(channels, affine=affine))
    return nn.Sequential(*layers)


def primitive(name: str, channels: int, stride: int, affine: bool = False) -> nn.Module:
    """Module of `none` or of one of `parsec.space.darts.PRIMITIVES`; pooling is normalised only in the search."""
    if name in SEPARABLE:
        return _separable(name, channels, stride, affine)
    match name:
        case "max_pool_3x3":
            return _pooled(nn.MaxPool2d(3, stride, padding=1), channels, affine)
        case "avg_pool_3x3":
            return _pooled(nn.AvgPool2d(3, stride, padding=1, count_include_pad=False), channels, affine)
        case "skip_connect":
            return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels, affine)
    return Zero(stride)


def _pooled(pool: nn.Module, channels: int, affine: bool) -> nn.Module:
    return pool if affine else nn.Sequential(pool, nn.BatchNorm2d(channels, affine=False))


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
