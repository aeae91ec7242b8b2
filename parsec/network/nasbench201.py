"""Networks of NAS-Bench-201: single architectures, their costs, and the supernet with shared weights."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.config.training import Network
from parsec.network.layers import (
    FREE,
    BatchNorm,
    Cost,
    ReluConvBN,
    batch_norm_cost,
    conv_cost,
    linear_cost,
    normalise,
    relu_conv_bn_cost,
    strided,
    total,
)
from parsec.network.supernet import SharedParameters
from parsec.space.nasbench201 import EDGES, NODES, Architecture

CHANNELS = 16
STAGES = 3
CELLS = 5
"""Cells of a stage."""
KERNELS = {"nor_conv_1x1": 1, "nor_conv_3x3": 3}
POOL = 3
"""Side of the pooling window of a cell, pixels."""
HALVING = 2
"""Stride of a residual block, and side of the pooling window on its shortcut, pixels."""


def widths(channels: int) -> list[int]:
    """Channels of every stage; the first has `channels`."""
    return [channels * 2**stage for stage in range(STAGES)]


class Zero(nn.Module):
    """Zeros in the shape of the map. A product with 0, as in the benchmark, would turn infinities into NaN."""

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to zeros."""
        return x.new_zeros(()).expand_as(x)


def operation(name: str, channels: int) -> nn.Module:
    """The layer of an edge: [B, C, H, W] to the same shape."""
    if name in KERNELS:
        return ReluConvBN(channels, channels, KERNELS[name])
    if name == "avg_pool_3x3":
        return nn.AvgPool2d(POOL, stride=1, padding=POOL // 2, count_include_pad=False)
    return nn.Identity() if name == "skip_connect" else Zero()


def operation_cost(name: str, channels: int, side: int) -> Cost:
    """Cost of `operation(name, channels)` on a map of `side` × `side` pixels."""
    return relu_conv_bn_cost(channels, channels, side, KERNELS[name]) if name in KERNELS else FREE


class Cell(nn.Module):
    """A cell: [B, C, H, W] to the same shape."""

    def __init__(self, architecture: Architecture, channels: int) -> None:
        super().__init__()
        self.sources = [[source for source, _ in architecture.edges_into(node)] for node in range(1, NODES)]
        nodes = [[operation(op, channels) for _, op in architecture.edges_into(node)] for node in range(1, NODES)]
        self.edges = nn.ModuleList(nn.ModuleList(edges) for edges in nodes)

    def forward(self, x: Tensor) -> Tensor:
        """Sum up node after node; the last one is the output."""
        maps = [x]
        for sources, edges in zip(self.sources, self.edges, strict=True):
            assert isinstance(edges, nn.ModuleList)
            first, *others = (edge(maps[source]) for source, edge in zip(sources, edges, strict=True))
            maps.append(sum(others, start=first))
        return maps[-1]


class Residual(nn.Module):
    """Residual block of stride 2 between two stages: [B, C, H, W] to [B, 2C, ⌈H/2⌉, ⌈W/2⌉]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(
            ReluConvBN(channels, 2 * channels, 3, HALVING), ReluConvBN(2 * channels, 2 * channels, 3)
        )
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(HALVING, ceil_mode=True), nn.Conv2d(channels, 2 * channels, 1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolutions and shortcut, summed."""
        result: Tensor = self.shortcut(x) + self.convs(x)
        return result


def residual_cost(channels: int, side: int) -> Cost:
    """Cost of `Residual(channels)` whose output map has `side` × `side` pixels."""
    first, second = (relu_conv_bn_cost(inputs, 2 * channels, side, 3) for inputs in (channels, 2 * channels))
    return total((first, second, conv_cost(channels, 2 * channels, 1, side)))


class BenchmarkNetwork(nn.Module):
    """The network of one architecture: images [B, 3, H, W] to logits [B, classes].

    Weights are PyTorch's defaults from the global generator; `initialise` draws them from a stream of its own. Other
    numbers of cells per stage and of channels than the benchmark's make the small networks of a search.
    """

    def __init__(self, architecture: Architecture, classes: int, cells: int = CELLS, channels: int = CHANNELS) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, channels, 3, padding=1, bias=False), BatchNorm(channels))
        blocks: list[nn.Module] = []
        for stage, width in enumerate(widths(channels)):
            blocks += [Residual(width // 2)] if stage else []
            blocks += [Cell(architecture, width) for _ in range(cells)]
        self.blocks = nn.Sequential(*blocks)
        self.norm = BatchNorm(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of normalised images."""
        logits: Tensor = self.classifier(F.relu(self.norm(self.blocks(self.stem(x)))).mean((2, 3)))
        return logits


def network_cost(
    architecture: Architecture, classes: int, image_size: int, cells: int = CELLS, channels: int = CHANNELS
) -> Cost:
    """Cost of `BenchmarkNetwork` on one image of `image_size` × `image_size` pixels, counted without building it."""
    costs = [conv_cost(3, channels, 3, image_size), batch_norm_cost(channels)]
    for stage, width in enumerate(widths(channels)):
        side = strided(image_size, 2**stage)
        costs += [residual_cost(width // 2, side)] if stage else []
        costs += [operation_cost(name, width, side) for name in architecture.operations] * cells
    return total([*costs, batch_norm_cost(width), linear_cost(width, classes)])


def cell_name(stage: int, cell: int) -> str:
    """How the names of a cell's weights begin."""
    return f"stages.{stage}.{cell}"


def _stacked_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Weights that exist once per edge of a cell."""
    return {
        f"{cell_name(stage, cell)}.{operation}": (len(EDGES), channels, channels, kernel, kernel)
        for stage, channels in enumerate(widths(network.channels))
        for cell in range(network.cells)
        for operation, kernel in KERNELS.items()
    }


def _plain_shapes(network: Network, classes: int) -> dict[str, tuple[int, ...]]:
    """Weights that every child uses: stem, residual blocks and classifier."""
    shapes: dict[str, tuple[int, ...]] = {"stem": (network.channels, 3, 3, 3)}
    for stage, channels in enumerate(widths(network.channels)):
        if stage:
            shapes[f"residuals.{stage}.first"] = (channels, channels // 2, 3, 3)
            shapes[f"residuals.{stage}.second"] = (channels, channels, 3, 3)
            shapes[f"residuals.{stage}.shortcut"] = (channels, channels // 2, 1, 1)
    return shapes | {"classifier.weight": (classes, channels), "classifier.bias": (classes,)}


class BenchmarkSupernet:
    """All architectures of the space in one `SharedParameters` of shared weights.

    Args:
        network: `cells` is N, the cells of a stage (the benchmark: 5), `channels` those of the first (16).
        classes: of the classifier.
        generator: source of the initial weights.
        device: where they lie.
        dtype: of the weights.
    """

    def __init__(
        self,
        network: Network,
        classes: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.network = network
        self.weights = SharedParameters(
            _stacked_shapes(network), _plain_shapes(network, classes), generator, device, dtype
        )

    def __call__(self, child: Architecture, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child on `images` (B × 3 × H × W)."""
        x = self.stem(images)
        for stage in range(STAGES):
            x = self.residual(stage, x) if stage else x
            for cell in range(self.network.cells):
                x = self._cell(cell_name(stage, cell), child, x)
        return self.classify(x)

    def stem(self, images: Tensor) -> Tensor:
        """Input of the first cell, [B, C, H, W]."""
        return normalise(F.conv2d(images, self.weights("stem"), padding=1))

    def residual(self, stage: int, x: Tensor) -> Tensor:
        """The residual block before a stage: [B, C, H, W] to [B, 2C, ⌈H/2⌉, ⌈W/2⌉]."""
        name = f"residuals.{stage}"
        inner = normalise(F.conv2d(F.relu(x), self.weights(f"{name}.first"), stride=HALVING, padding=1))
        inner = normalise(F.conv2d(F.relu(inner), self.weights(f"{name}.second"), padding=1))
        return F.conv2d(F.avg_pool2d(x, HALVING, ceil_mode=True), self.weights(f"{name}.shortcut")) + inner

    def classify(self, x: Tensor) -> Tensor:
        """Logits (B × classes) of the last cell's map."""
        means = F.relu(normalise(x)).mean((2, 3), dtype=self.weights.flat.dtype)
        # Likelihoods are exponentiated, so the logits behind them are never rounded to bfloat16.
        with torch.autocast(means.device.type, enabled=False):
            return F.linear(means, self.weights("classifier.weight"), self.weights("classifier.bias"))

    def apply(self, cell: str, operation: str, edge: int, x: Tensor, rectified: dict[int, Tensor]) -> Tensor:
        """An operation other than `none` on the map `x` of the edge's source, with the weights of the edge.

        `rectified` keeps the ReLU of a map by its node, so that all convolutions of the cell share it.
        """
        if operation == "skip_connect":
            return x
        if operation == "avg_pool_3x3":
            return F.avg_pool2d(x, POOL, 1, padding=POOL // 2, count_include_pad=False)
        source, _ = EDGES[edge]
        if source not in rectified:
            rectified[source] = F.relu(x)
        weight = self.weights(f"{cell}.{operation}", edge)
        return normalise(F.conv2d(rectified[source], weight, padding=KERNELS[operation] // 2))

    def _cell(self, cell: str, child: Architecture, x: Tensor) -> Tensor:
        """Sum up those nodes that the last one reads."""
        maps, rectified = {0: x}, dict[int, Tensor]()
        for node in child.nodes_read():
            terms = [
                self.apply(cell, operation, edge, maps[source], rectified)
                for edge, ((source, target), operation) in enumerate(zip(EDGES, child.operations, strict=True))
                if target == node and operation != "none"
            ]
            maps[node] = sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(x)
        return maps[NODES - 1]
