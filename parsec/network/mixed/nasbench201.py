"""The relaxed network of NAS-Bench-201: each of the six edges a weighted sum of the five operations.

It reads the weights of a `BenchmarkSupernet`. B images, C channels, H × W pixels.
"""

import torch
from torch import Tensor

from parsec.network.mixed.weights import Live, live, spread
from parsec.network.nasbench201 import KERNELS, STAGES
from parsec.network.nasbench201_supernet import BenchmarkSupernet, average, cell_name
from parsec.space.nasbench201 import EDGES, NODES, OPERATIONS


class MixedBenchmarkSupernet:
    """Runs mixtures over all edges and operations of `supernet`."""

    def __init__(self, supernet: BenchmarkSupernet) -> None:
        self.supernet = supernet

    def __call__(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits (B × classes) of a mixture on `images` (B × 3 × H × W).

        Args:
            weights: [1 cell, 6 edges, 5 operations], in the order of `EDGES` and `OPERATIONS`. What has a weight of
                exactly zero is not run and gets no gradient. They should lie on the CPU, because the host reads them.
            images: normalised images.
        """
        runs = live(weights)[0]
        mixed = spread(weights, self.supernet.bank.flat)[0]
        x = self.supernet.stem(images)
        for stage in range(STAGES):
            x = self.supernet.residual(stage, x) if stage else x
            for cell in range(self.supernet.network.cells):
                x = self._cell(cell_name(stage, cell), mixed, runs, x)
        return self.supernet.classify(x)

    def _cell(self, cell: str, weights: Tensor, runs: Live, x: Tensor) -> Tensor:
        """Sum up node after node, each rectified once for all convolutions that read it."""
        maps, rectified = [x], dict[int, Tensor]()
        for node in range(1, NODES):
            terms = []
            for edge, (source, target) in enumerate(EDGES):
                for choice in runs[edge] if target == node else ():
                    operation = OPERATIONS[choice]
                    if operation == "none":
                        continue
                    if operation in KERNELS and source not in rectified:
                        rectified[source] = maps[source].relu()
                    result = self._operation(cell, operation, edge, maps[source], rectified.get(source))
                    terms.append(result * weights[edge, choice])
            maps.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(x))
        return maps[-1]

    def _operation(self, cell: str, operation: str, edge: int, x: Tensor, rectified: Tensor | None) -> Tensor:
        if operation in KERNELS:
            assert rectified is not None
            return self.supernet.convolve(cell, operation, edge, rectified)
        return x if operation == "skip_connect" else average(x)
