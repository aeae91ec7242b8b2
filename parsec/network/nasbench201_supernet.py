"""The network of shared weights of NAS-Bench-201: runs any of its architectures without building it.

Stem, stages and residual blocks are those of `BenchmarkNetwork`. Batch norm has the statistics of the batch and no
scale and shift, as in the one-shot searches of the benchmark's authors (NAS-Bench-201, section 5). B images, C
channels, H × W pixels.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.bank import Bank
from parsec.network.layers import normalise
from parsec.network.nasbench201 import HALVING, KERNELS, POOL, STAGES, widths
from parsec.settings.training import Network
from parsec.space.nasbench201 import EDGES, NODES, Architecture


def cell_name(stage: int, cell: int) -> str:
    """How the names of a cell's weights begin."""
    return f"stages.{stage}.{cell}"


def _stacked_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    """Weights that exist once an edge of a cell."""
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
    """All architectures of the space in one `Bank` of shared weights.

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
        self.bank = Bank(_stacked_shapes(network), _plain_shapes(network, classes), generator, device, dtype)

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
        return normalise(F.conv2d(images, self.bank("stem"), padding=1))

    def residual(self, stage: int, x: Tensor) -> Tensor:
        """The residual block before a stage: [B, C, H, W] to [B, 2C, ⌈H/2⌉, ⌈W/2⌉]."""
        name = f"residuals.{stage}"
        inner = normalise(F.conv2d(F.relu(x), self.bank(f"{name}.first"), stride=HALVING, padding=1))
        inner = normalise(F.conv2d(F.relu(inner), self.bank(f"{name}.second"), padding=1))
        return F.conv2d(F.avg_pool2d(x, HALVING, ceil_mode=True), self.bank(f"{name}.shortcut")) + inner

    def classify(self, x: Tensor) -> Tensor:
        """Logits (B × classes) of the last cell's map."""
        means = F.relu(normalise(x)).mean((2, 3), dtype=self.bank.flat.dtype)
        # Likelihoods are exponentiated, so the logits behind them are never rounded to bfloat16.
        with torch.autocast(means.device.type, enabled=False):
            return F.linear(means, self.bank("classifier.weight"), self.bank("classifier.bias"))

    def convolve(self, cell: str, operation: str, edge: int, rectified: Tensor) -> Tensor:
        """A convolution with the weights of one edge of a cell, on a map after ReLU."""
        kernel = KERNELS[operation]
        return normalise(F.conv2d(rectified, self.bank(f"{cell}.{operation}", edge), padding=kernel // 2))

    def _cell(self, cell: str, child: Architecture, x: Tensor) -> Tensor:
        """Sum up those nodes that the last one reads; what all convolutions of a node read is rectified once."""
        maps, rectified = {0: x}, dict[int, Tensor]()
        for node in child.nodes_read():
            terms = []
            for edge, ((source, target), operation) in enumerate(zip(EDGES, child.operations, strict=True)):
                if target != node or operation == "none":
                    continue
                if operation in KERNELS and source not in rectified:
                    rectified[source] = F.relu(maps[source])
                terms.append(self._edge(cell, operation, edge, maps[source], rectified.get(source)))
            maps[node] = sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(x)
        return maps[NODES - 1]

    def _edge(self, cell: str, operation: str, edge: int, x: Tensor, rectified: Tensor | None) -> Tensor:
        if operation in KERNELS:
            assert rectified is not None
            return self.convolve(cell, operation, edge, rectified)
        return x if operation == "skip_connect" else average(x)


def average(x: Tensor) -> Tensor:
    """Mean over 3 × 3 pixels without the border, not normalised: the pooling of an edge."""
    return F.avg_pool2d(x, POOL, 1, padding=POOL // 2, count_include_pad=False)
