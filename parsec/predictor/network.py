"""The predictor: a graph convolution network, as many of them at once as there are repeats times members.

A graph convolution as in Wen et al. (Neural Predictor, arXiv 1912.00848), with a weight each for the vertex itself, the
mean over its predecessors and the mean over its successors; then a mean over vertices and a linear layer. The members
share no weight; they are batched, because the networks are far too small to keep a processor busy one by one.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor

from parsec.predictor.encode import Encoded

CHUNK = 1024
"""Graphs that are predicted together: so few stay in a processor's cache."""


class Layer(NamedTuple):
    """[R, E, in, out] and [R, E, out] of E members in R repeats."""

    weight: Tensor
    bias: Tensor


class Networks(NamedTuple):
    """The weights of R repeats × E members; graph convolutions, then the linear layer with one output."""

    layers: tuple[Layer, ...]

    def __call__(self, graphs: Encoded) -> Tensor:
        """Predictions [R, E, n] for graphs that differ between repeats: [R, n, ...]."""
        hidden = graphs.inputs.flatten(1, 2)[:, None]
        for place, (weight, bias) in enumerate(self.layers[:-1]):
            read = hidden if place == 0 else _with_means(hidden, graphs.spread)
            hidden = torch.relu(read @ weight + bias[:, :, None])
        count, vertices = graphs.weights.shape[-2:]
        pooled = (hidden.unflatten(2, (count, vertices)) * graphs.weights[:, None, ..., None]).sum(3)
        weight, bias = self.layers[-1]
        predicted: Tensor = (pooled @ weight + bias[:, :, None])[..., 0]
        return predicted

    def parameters(self) -> Iterator[Tensor]:
        """All weights."""
        return (part for layer in self.layers for part in layer)

    def of(self, repeat: int) -> Self:
        """The members of one repeat, R = 1, without gradients."""
        place = slice(repeat, repeat + 1)
        return type(self)(tuple(Layer(*(part.detach()[place] for part in layer)) for layer in self.layers))

    def predict(self, graphs: Encoded) -> Tensor:
        """Predictions [E, n] of the members of one repeat for graphs [n, ...]."""
        with torch.no_grad():
            chunks = zip(*(part.split(CHUNK) for part in graphs), strict=True)
            return torch.cat([self(Encoded(*(part[None] for part in chunk)))[0] for chunk in chunks], dim=-1)


def _with_means(hidden: Tensor, spread: Tensor) -> Tensor:
    """Vertices [R, E, n·V, H] → [R, E, n·V, 3H], with the means over predecessors and over successors."""
    repeats, members, _, width = hidden.shape
    count, vertices = spread.shape[1], spread.shape[-1]
    # The matrices are those of all members, so that one product with all members' columns does.
    columns = hidden.unflatten(2, (count, vertices)).permute(0, 2, 3, 1, 4).reshape(repeats, count, vertices, -1)
    means = (spread @ columns).unflatten(2, (2, vertices)).unflatten(-1, (members, width))
    return torch.cat([hidden, *(part.permute(0, 3, 1, 2, 4).flatten(2, 3) for part in means.unbind(2))], dim=-1)


def initial(features: int, width: int, depth: int, members: int, generators: Sequence[torch.Generator]) -> Networks:
    """Networks with fresh weights, those of a repeat drawn from its own generator (normal, He et al. 2015).

    Args:
        features: F of the graphs.
        width: outputs of a graph convolution.
        depth: graph convolutions, at least one.
        members: E.
        generators: one a repeat, on the CPU.
    """
    inner = [(3 * (width if place else features), width) for place in range(depth)]
    return Networks(tuple(_layer(*shape, members, generators) for shape in [*inner, (width, 1)]))


def _layer(inputs: int, outputs: int, members: int, generators: Sequence[torch.Generator]) -> Layer:
    drawn = [torch.randn(members, inputs, outputs, generator=generator) for generator in generators]
    return Layer(math.sqrt(2 / inputs) * torch.stack(drawn), torch.zeros(len(generators), members, outputs))
