"""The network of NAS-Bench-101 (Ying et al., ICML 2019, section 2 and figure 1), each layer with its cost beside it.

Stem of 128 channels, three stacks of three equal modules at 128, 256 and 512 channels, maps halved between the stacks,
and a classifier after the mean over the map. B images, C channels, H × W pixels, V vertices.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.network.layers import FREE, BatchNorm, Cost, batch_norm_cost, conv_cost, linear_cost, strided, total
from parsec.space.nasbench101 import Architecture

CHANNELS = 128
"""Of the stem and the first stack."""
STACKS = 3
MODULES = 3
"""Modules of a stack."""
POOL = 3
"""Side of the pooling window of a vertex, pixels."""
HALVING = 2
"""Side and stride of the pooling window between two stacks, pixels."""
KERNELS = {"conv1x1-bn-relu": 1, "conv3x3-bn-relu": 3}


class ConvBNRelu(nn.Module):
    """Convolution of stride 1, batch norm, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.norm = BatchNorm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, inputs, H, W] to [B, outputs, H, W]."""
        return F.relu(self.norm(self.conv(x)))


def conv_bn_relu_cost(inputs: int, outputs: int, kernel: int, side: int) -> Cost:
    """Cost of `ConvBNRelu` on a map of `side` × `side` pixels."""
    return total((conv_cost(inputs, outputs, kernel, side), batch_norm_cost(outputs)))


def operation(name: str, channels: int) -> nn.Module:
    """The layer of a vertex: [B, C, H, W] to the same shape."""
    if name in KERNELS:
        return ConvBNRelu(channels, channels, KERNELS[name])
    return nn.MaxPool2d(POOL, stride=1, padding=POOL // 2)


def operation_cost(name: str, channels: int, side: int) -> Cost:
    """Cost of `operation(name, channels)` on a map of `side` × `side` pixels."""
    return conv_bn_relu_cost(channels, channels, KERNELS[name], side) if name in KERNELS else FREE


def vertex_channels(architecture: Architecture, inputs: int, outputs: int) -> list[int]:
    """Channels of all V vertices of a module that maps `inputs` to `outputs` channels.

    The vertices before the output share its channels out, the first ones taking what does not divide; every other
    vertex has as many as the widest one that it leads to (the benchmark's `compute_vertex_channels`).
    """
    last = len(architecture.operations) - 1
    ends = [v for v in range(1, last) if architecture.matrix[v][last]]
    channels = [inputs] + [0] * (last - 1) + [outputs]
    for place, v in enumerate(ends):
        channels[v] = outputs // len(ends) + (place < outputs % len(ends))
    # Backwards, so that the channels of all vertices that v leads to are known.
    for v in reversed(range(1, last)):
        if v not in ends:
            channels[v] = max(channels[w] for w in range(v + 1, last) if architecture.matrix[v][w])
    return channels


class Module(nn.Module):
    """A module, the cell at one place of the stack: [B, inputs, H, W] to [B, outputs, H, W].

    What the input of the module feeds, it feeds through a projection of its own (`ConvBNRelu`, 1 × 1). Maps that meet
    at an inner vertex are cut to its channels and summed; those that meet at the output are concatenated, and the
    input's is added.
    """

    def __init__(self, architecture: Architecture, inputs: int, outputs: int) -> None:
        super().__init__()
        self.matrix, self.channels = architecture.matrix, vertex_channels(architecture, inputs, outputs)
        self.last = last = len(architecture.operations) - 1
        fed = [v for v in range(1, last + 1) if architecture.matrix[0][v]]
        self.projections = nn.ModuleDict({str(v): ConvBNRelu(inputs, self.channels[v], 1) for v in fed})
        self.operations = nn.ModuleList(operation(architecture.operations[v], self.channels[v]) for v in range(1, last))

    def forward(self, x: Tensor) -> Tensor:
        """Vertex after vertex; the output last."""
        maps = [x]
        for vertex, layer in enumerate(self.operations, start=1):
            maps.append(layer(self._sum(vertex, maps)))
        ends = [maps[v] for v in range(1, self.last) if self.matrix[v][self.last]]
        if not ends:
            return self._sum(self.last, maps)
        result = ends[0] if len(ends) == 1 else torch.cat(ends, dim=1)
        return result + self._projected(self.last, x) if self.matrix[0][self.last] else result

    def _sum(self, vertex: int, maps: list[Tensor]) -> Tensor:
        width = self.channels[vertex]
        parts = [maps[v][:, :width] for v in range(1, vertex) if self.matrix[v][vertex]]
        if self.matrix[0][vertex]:
            parts.append(self._projected(vertex, maps[0]))
        return sum(parts[1:], start=parts[0])

    def _projected(self, vertex: int, x: Tensor) -> Tensor:
        result: Tensor = self.projections[str(vertex)](x)
        return result


def module_cost(architecture: Architecture, inputs: int, outputs: int, side: int) -> Cost:
    """Cost of `Module(architecture, inputs, outputs)` on a map of `side` × `side` pixels."""
    channels, last = vertex_channels(architecture, inputs, outputs), len(architecture.operations) - 1
    fed = [v for v in range(1, last + 1) if architecture.matrix[0][v]]
    projections = [conv_bn_relu_cost(inputs, channels[v], 1, side) for v in fed]
    return total(
        [*projections, *(operation_cost(architecture.operations[v], channels[v], side) for v in range(1, last))]
    )


class BenchmarkNetwork(nn.Module):
    """The network of one architecture: images [B, 3, H, W] to logits [B, classes].

    Weights are PyTorch's defaults from the global generator; `initialise` draws them from a stream of its own. Batch
    norm is PyTorch's too; that of the benchmark forgets its running statistics more slowly, which no cost depends on.

    Args:
        architecture: the cell of every module.
        classes: outputs of the classifier.
        channels: of the stem and the first stack; twice as many in every next one.
        modules: of a stack.
    """

    def __init__(
        self, architecture: Architecture, classes: int, channels: int = CHANNELS, modules: int = MODULES
    ) -> None:
        super().__init__()
        self.stem = ConvBNRelu(3, channels, 3)
        blocks: list[nn.Module] = []
        for stack, widths in enumerate(stack_widths(channels, modules)):
            blocks += [nn.MaxPool2d(HALVING, ceil_mode=True)] if stack else []
            blocks += [Module(architecture, *width) for width in widths]
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels * 2 ** (STACKS - 1), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits: Tensor = self.classifier(self.blocks(self.stem(x)).mean((2, 3)))
        return logits


def stack_widths(channels: int, modules: int) -> list[list[tuple[int, int]]]:
    """Channels into and out of every module, stack by stack; the first module of a later stack doubles them."""
    outputs = [channels * 2**stack for stack in range(STACKS)]
    return [
        [(width // 2 if stack else width, width), *[(width, width)] * (modules - 1)]
        for stack, width in enumerate(outputs)
    ]


def network_cost(
    architecture: Architecture, classes: int, image_size: int, channels: int = CHANNELS, modules: int = MODULES
) -> Cost:
    """Cost of `BenchmarkNetwork` on one image of `image_size` × `image_size` pixels."""
    last = channels * 2 ** (STACKS - 1)
    costs = [conv_bn_relu_cost(3, channels, 3, image_size), linear_cost(last, classes)]
    for stack, widths in enumerate(stack_widths(channels, modules)):
        costs += [module_cost(architecture, *width, strided(image_size, 2**stack)) for width in widths]
    return total(costs)
