"""What is scored: architectures, numbered, of a whole space, of a table or drawn at random."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import nn

from parsec.errors import SettingsError
from parsec.runtime.randomness import generator
from parsec.runtime.seeds import seed_of

A = TypeVar("A")


class Pool(Protocol[A]):
    """The architectures that a scoring chooses from."""

    about: Mapping[str, Any]
    """What `scores.parquet` tells of them."""

    def indices(self, count: int | None, seed: int) -> list[int]:
        """So many different architectures; a larger number keeps those of a smaller one. None: all."""

    def __getitem__(self, index: int) -> A:
        """The architecture of this number."""

    def text(self, found: A) -> str:
        """The architecture in one line, as the rows of `scores.parquet` name it."""

    def network(self, found: A, outputs: int, side: int) -> nn.Module:
        """Its network: images [B, 3, side, side] to [B, outputs]. Weights come from the global generator."""


def shuffled(size: int, count: int | None, seed: int) -> list[int]:
    """So many numbers below `size` in the order of a shuffle that the seed determines; None: all, in order."""
    order: list[int] = torch.randperm(size, generator=generator(seed, "architectures")).tolist()
    return sorted(order) if count is None else order[:count]


class Drawn(Generic[A]):
    """Architectures drawn at random; number i is draw number i of the seed, and repeats are left out.

    Args:
        draw: draws one.
        name: names an architecture, the same for equal networks.
        seed: of the draws.
    """

    def __init__(self, draw: Callable[[np.random.Generator], A], name: Callable[[A], object], seed: int) -> None:
        self._draw, self._name, self._seed = draw, name, seed

    def indices(self, count: int | None, seed: int) -> list[int]:
        """See `Pool.indices`.

        Raises:
            SettingsError: all are asked for.
        """
        if count is None:
            raise SettingsError("architectures: null (all) needs a table of them; give a number, or --benchmark")
        return list(itertools.islice(self._different(), count))

    def _different(self) -> Iterator[int]:
        seen = set()
        for index in itertools.count():
            name = self._name(self[index])
            if name not in seen:
                seen.add(name)
                yield index

    def __getitem__(self, index: int) -> A:
        return self._draw(np.random.default_rng(seed_of(self._seed, "architectures", index)))
