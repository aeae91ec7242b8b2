"""The relaxed network of the DARTS space: all edges, each a weighted sum of its primitives (DARTS, equation 2).

It reads the weights of a `Supernet`. B images, C channels, H × W pixels.
"""

import torch
from torch import Tensor

from parsec.network.channels_last import join
from parsec.network.layers import pool
from parsec.network.mixed.weights import Live, live, spread
from parsec.network.sides import edge_stride
from parsec.network.stack import CellShape
from parsec.network.supernet import SKIP, Supernet, needs_relu
from parsec.space.darts import CANDIDATES, CELLS, NODES, edge_index


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
        weights = spread(weights, self.supernet.bank.flat)
        before, last = self.supernet.stem(images)
        for index, shape in enumerate(shapes):
            kind = CELLS.index(shape.kind)
            states = self._cell(index, shape, weights[kind], runs[kind], before, last)
            ends = index == len(shapes) - 1
            nodes = states.maps[2:] if ends else [states.rectified(2 + node) for node in range(NODES)]
            before, last = last, join(nodes)
        return self.supernet.classify(last.mean((2, 3), dtype=self.supernet.bank.flat.dtype))

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
    """What a node holds whose edges are all `none`, from an input of the cell."""
    stride = edge_stride(shape, 0)
    return torch.zeros_like(x[:, :, ::stride, ::stride])
