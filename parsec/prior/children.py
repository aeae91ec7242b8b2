"""Architectures drawn from π, as data that a device can read and as objects that the host can read."""

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor

from parsec.space.spaces import DARTS, Architecture, SearchSpace


class Children:
    """K architectures of a space.

    Args:
        table: int64 [K, *space.shape], the choices of the separate form. DARTS: 2 cells (normal, reduce), 4 nodes,
            2 slots, 2 (input, number of the primitive). NAS-Bench-201: number of the operation of every edge.
        space: which the architectures belong to.
    """

    def __init__(self, table: Tensor, space: SearchSpace = DARTS) -> None:
        self.table, self.space = table, space
        self._genotypes: list[Any] | None = None

    @classmethod
    def of(
        cls, genotypes: Sequence[Architecture], device: torch.device | str = "cpu", space: SearchSpace = DARTS
    ) -> Self:
        """The children of these architectures, in their order."""
        chosen = [space.encode(each, "separate") for each in genotypes]
        rows = torch.tensor(chosen, dtype=torch.int64, device=device)
        return cls(rows.view(len(genotypes), *space.shape), space)

    @classmethod
    def from_choices(cls, chosen: Tensor, joint: bool, space: SearchSpace = DARTS) -> Self:
        """The children of chosen indices of every factor (K × F), on their device and without waiting for it."""
        if joint:
            chosen = torch.stack([chosen // len(space.primitives), chosen % len(space.primitives)], dim=-1)
        return cls(chosen.reshape(len(chosen), *space.shape), space)

    @property
    def genotypes(self) -> list[Any]:
        """The same architectures for the host, in the type of the space; waits for the device when asked first."""
        if self._genotypes is None:
            self._genotypes = [self.space.decode(row, "separate") for row in self.table.flatten(1).tolist()]
        return self._genotypes

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: slice) -> Self:
        """Some of the children."""
        chosen = type(self)(self.table[part], self.space)
        if self._genotypes is not None:
            chosen._genotypes = self._genotypes[part]
        return chosen
