"""Architectures as the tensors that the predictor reads, with all that no weight touches computed beforehand."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from parsec.benchmarks.problem import Graphs, Problem


class Encoded(NamedTuple):
    """n graphs of V vertices with F features, float32; leading dimensions, one a repeat, may come before n."""

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

    def __call__(self, found: Sequence[Any]) -> Encoded:
        """The n architectures."""
        everything = self._problem.everything
        if not isinstance(everything, range):
            return encoded(self._problem.graphs(found))
        if self._whole is None:
            self._whole = encoded(self._problem.graphs(everything))
        if len(found) == len(everything) and found is everything:
            return self._whole
        return Encoded(*(part[torch.as_tensor(found)] for part in self._whole))

    def together(self, repeats: Sequence[Sequence[Any]]) -> Encoded:
        """The architectures of R repeats, equally many in each: tensors [R, n, ...]."""
        return Encoded(*(torch.stack(parts) for parts in zip(*map(self, repeats), strict=True)))
