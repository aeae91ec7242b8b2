"""Graph-convolution predictor of accuracies: encoding of architectures, network, training."""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from parsec.config.tabular import Predictor
from parsec.tabular.problem import Graphs, Problem


class Encoded(NamedTuple):
    """n graphs of V vertices with F features, float32; leading dimensions, one per repeat, may come before n."""

    inputs: Tensor
    """[..., n, V, 3F]: features of a vertex, their mean over its predecessors, their mean over its successors."""
    spread: Tensor
    """[..., n, 2V, V]: the matrices that take these two means."""
    weights: Tensor
    """[..., n, V]: share of a vertex in the mean over the graph; 0 where there is none."""


def encoded(graphs: Graphs) -> Encoded:
    """Encode n graphs; a vertex without predecessors (successors) has a mean of zero."""
    adjacency, features = (torch.from_numpy(np.ascontiguousarray(part)) for part in graphs)
    spread = torch.cat([_averaging(adjacency.mT), _averaging(adjacency)], dim=1)
    before, after = (spread @ features).chunk(2, dim=1)
    there = (features != 0).any(-1).float()
    return Encoded(torch.cat([features, before, after], dim=-1), spread, there / there.sum(-1, keepdim=True).clamp(1))


def _averaging(adjacency: Tensor) -> Tensor:
    return adjacency / adjacency.sum(-1, keepdim=True).clamp(1)


class Encoder:
    """Encodes architectures of a problem; a whole space that is a range of numbers is encoded once, on first use."""

    def __init__(self, problem: Problem[Any]) -> None:
        self._problem = problem
        self._whole: Encoded | None = None

    def __call__(self, architectures: Sequence[Any]) -> Encoded:
        """Encode n architectures."""
        everything = self._problem.everything
        if not isinstance(everything, range):
            return encoded(self._problem.graphs(architectures))
        if self._whole is None:
            self._whole = encoded(self._problem.graphs(everything))
        if architectures == everything:
            return self._whole
        return Encoded(*(part[torch.as_tensor(architectures)] for part in self._whole))

    def together(self, repeats: Sequence[Sequence[Any]]) -> Encoded:
        """The architectures of R repeats, equally many in each: tensors [R, n, ...]."""
        return Encoded(*(torch.stack(parts) for parts in zip(*map(self, repeats), strict=True)))


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
        for i, (weight, bias) in enumerate(self.layers[:-1]):
            read = hidden if i == 0 else _with_means(hidden, graphs.spread)
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
        only = slice(repeat, repeat + 1)
        return type(self)(tuple(Layer(*(part.detach()[only] for part in layer)) for layer in self.layers))

    def predict(self, graphs: Encoded) -> Tensor:
        """Predictions [E, n] of the members of one repeat for graphs [n, ...]."""
        with torch.no_grad():
            chunks = zip(*(part.split(CHUNK) for part in graphs), strict=True)
            return torch.cat([self(Encoded(*(part[None] for part in chunk)))[0] for chunk in chunks], dim=-1)


def _with_means(hidden: Tensor, spread: Tensor) -> Tensor:
    """Vertices [R, E, n·V, H] → [R, E, n·V, 3H], with the means over predecessors and over successors."""
    repeats, members, _, width = hidden.shape
    count, vertices = spread.shape[1], spread.shape[-1]
    # All members share the matrices, so one product with the columns of all members is enough.
    columns = hidden.unflatten(2, (count, vertices)).permute(0, 2, 3, 1, 4).reshape(repeats, count, vertices, -1)
    means = (spread @ columns).unflatten(2, (2, vertices)).unflatten(-1, (members, width))
    return torch.cat([hidden, *(part.permute(0, 3, 1, 2, 4).flatten(2, 3) for part in means.unbind(2))], dim=-1)


def initial(features: int, width: int, depth: int, members: int, generators: Sequence[torch.Generator]) -> Networks:
    """Networks with fresh weights (normal, He et al. 2015), those of a repeat from its own generator, on the CPU.

    `features` is the graphs' F; `depth`, at least one, the number of graph convolutions, each with `width` outputs.
    """
    layers = []
    convolutions = [(3 * (features if i == 0 else width), width) for i in range(depth)]
    for inputs, outputs in [*convolutions, (width, 1)]:
        drawn = [torch.randn(members, inputs, outputs, generator=generator) for generator in generators]
        bias = torch.zeros(len(generators), members, outputs)
        layers.append(Layer(math.sqrt(2 / inputs) * torch.stack(drawn), bias))
    return Networks(tuple(layers))


class Fitted(NamedTuple):
    """Trained networks, and the unit of what they predict: accuracies [R] in percent."""

    networks: Networks
    mean: Tensor
    scale: Tensor

    def predict(self, repeat: int, graphs: Encoded) -> Tensor:
        """Accuracies in percent [E, n] that the members of one repeat predict for graphs [n, ...]."""
        return self.mean[repeat] + self.scale[repeat] * self.networks.of(repeat).predict(graphs)


def fit(graphs: Encoded, reached: Tensor, settings: Predictor, generators: Sequence[torch.Generator]) -> Fitted:
    """Fit the members of every repeat to its own architectures by least squares, a fixed number of full batches.

    The loss is a sum over networks that share nothing and Adam works elementwise, so that each network is trained as
    it would be by itself.

    Args:
        graphs: [R, n, ...].
        reached: accuracies in percent [R, n]; standardised within a repeat.
        settings: the ensemble and its training.
        generators: one per repeat, for the first weights.
    """
    # Targets are standardised per repeat; the bound is for repeats whose accuracies are all equal.
    mean, scale = reached.mean(-1), reached.std(-1, correction=0).clamp(min=1e-6)
    targets = ((reached - mean[:, None]) / scale[:, None])[:, None]
    features = graphs.inputs.shape[-1] // 3
    networks = initial(features, settings.width, settings.depth, settings.members, generators)
    weights = [part.requires_grad_() for part in networks.parameters()]
    adam = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True)
    for _ in range(settings.steps):
        adam.zero_grad()
        # A sum over repeats and members: the gradient of a network does not depend on how many are fitted together.
        loss = (networks(graphs) - targets).square().mean(-1).sum()
        loss.backward()
        adam.step()
    return Fitted(networks, mean, scale)
