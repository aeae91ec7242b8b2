"""Mixed-operation networks: every edge is the weighted sum of its operations (DARTS, equation 2)."""

import torch
from torch import Tensor

from parsec.network.conv_cpu import join
from parsec.network.layers import pool
from parsec.network.nasbench201 import STAGES, BenchmarkSupernet, cell_name
from parsec.network.skeleton import CellShape, edge_stride
from parsec.network.supernet import SKIP, Supernet, needs_relu
from parsec.space.darts import CANDIDATES, CELLS, NODES, edge_index
from parsec.space.nasbench201 import EDGES, OPERATIONS
from parsec.space.nasbench201 import NODES as BENCHMARK_NODES

Live = list[list[int]]
"""Of every edge, which primitives run."""


def live(weights: Tensor) -> list[Live]:
    """Primitives whose weight [cells, edges, primitives] is not exactly zero, of every cell and edge."""
    present: list[list[list[bool]]] = (weights != 0).tolist()
    return [[[choice for choice, runs in enumerate(edge) if runs] for edge in cell] for cell in present]


def spread(weights: Tensor, like: Tensor) -> Tensor:
    """The mixture weights with the dtype and on the device of `like`; gradients go back through the copy."""
    return weights.to(like.device, like.dtype, non_blocking=True)


class _States:
    """Maps of a cell so far, and their ReLU where something reads it."""

    def __init__(self, maps: tuple[Tensor, ...]) -> None:
        self.maps = list(maps)
        self._rectified: dict[int, Tensor] = {}

    def rectified(self, index: int) -> Tensor:
        """ReLU of one of the maps, computed once."""
        if index not in self._rectified:
            self._rectified[index] = self.maps[index].relu()
        return self._rectified[index]


class MixedSupernet:
    """Runs mixtures over all edges and primitives of `supernet`."""

    def __init__(self, supernet: Supernet) -> None:
        self.supernet = supernet

    def __call__(self, weights: Tensor, images: Tensor) -> Tensor:
        """Logits (B × classes) of a mixture on `images` (B × 3 × H × W).

        Args:
            weights: [2 cells, 14 edges, 8 primitives], in the order of `CELLS`, `edge_index` and `CANDIDATES`. What has
                a weight of exactly zero is not run and gets no gradient. They should lie on the CPU, because the host
                reads them.
            images: normalised images.
        """
        shapes, runs = self.supernet.shapes, live(weights)
        weights = spread(weights, self.supernet.weights.flat)
        before, last = self.supernet.stem(images)
        for index, shape in enumerate(shapes):
            kind = CELLS.index(shape.kind)
            states = self._cell(index, shape, weights[kind], runs[kind], before, last)
            ends = index == len(shapes) - 1
            nodes = states.maps[2:] if ends else [states.rectified(2 + node) for node in range(NODES)]
            before, last = last, join(nodes)
        return self.supernet.classify(last.mean((2, 3), dtype=self.supernet.weights.flat.dtype))

    def _cell(self, index: int, shape: CellShape, weights: Tensor, runs: Live, before: Tensor, last: Tensor) -> _States:
        """Maps of a cell: its two inputs and its nodes."""
        states = _States(self.supernet.align(index, shape, before, last))
        for node in range(NODES):
            terms = [
                self._primitive(index, shape, node, source, CANDIDATES[choice], states) * weights[edge, choice]
                for source in range(node + 2)
                for edge in (edge_index(node, source),)
                for choice in runs[edge]
                if CANDIDATES[choice] != "none"
            ]
            states.maps.append(sum(terms[1:], start=terms[0]) if terms else _zeros(states.maps[0], shape))
        return states

    def _primitive(
        self, index: int, shape: CellShape, node: int, source: int, primitive: str, states: _States
    ) -> Tensor:
        stride = edge_stride(shape, source)
        if needs_relu(primitive, stride):
            return self.supernet.convolve(index, primitive, [(node, source)], stride, states.rectified(source))
        x = states.maps[source]
        return x if primitive == SKIP else pool(primitive, x, stride)


def _zeros(x: Tensor, shape: CellShape) -> Tensor:
    """Output of a node whose edges are all `none`, from an input of the cell."""
    stride = edge_stride(shape, 0)
    return torch.zeros_like(x[:, :, ::stride, ::stride])


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
        mixed = spread(weights, self.supernet.weights.flat)[0]
        x = self.supernet.stem(images)
        for stage in range(STAGES):
            x = self.supernet.residual(stage, x) if stage else x
            for cell in range(self.supernet.network.cells):
                x = self._cell(cell_name(stage, cell), mixed, runs, x)
        return self.supernet.classify(x)

    def _cell(self, cell: str, weights: Tensor, runs: Live, x: Tensor) -> Tensor:
        """Sum up node after node."""
        maps, rectified = [x], dict[int, Tensor]()
        for node in range(1, BENCHMARK_NODES):
            # The output of `none` is zero: it neither adds to the node nor has a gradient.
            terms = [
                self.supernet.apply(cell, OPERATIONS[choice], edge, maps[source], rectified) * weights[edge, choice]
                for edge, (source, target) in enumerate(EDGES)
                for choice in (runs[edge] if target == node else ())
                if OPERATIONS[choice] != "none"
            ]
            maps.append(sum(terms[1:], start=terms[0]) if terms else torch.zeros_like(x))
        return maps[-1]
