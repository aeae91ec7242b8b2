"""Architectures drawn from π, as data that a device can read and as genotypes that the host can read."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from parsec.space.darts import CELLS, NODES, PRIMITIVES, SLOTS
from parsec.space.factors import decode, encode
from parsec.space.genotype import Genotype


class Children:
    """K architectures of the DARTS space.

    Args:
        table: int64 [K, 2 cells (normal, reduce), 4 nodes, 2 slots, 2 (input, number of the primitive)].
    """

    def __init__(self, table: Tensor) -> None:
        self.table = table
        self._genotypes: list[Genotype] | None = None

    @classmethod
    def of(cls, genotypes: Sequence[Genotype], device: torch.device | str = "cpu") -> Self:
        """The children of these architectures, in their order."""
        rows = torch.tensor([encode(each, "separate") for each in genotypes], dtype=torch.int64, device=device)
        return cls(rows.view(len(genotypes), len(CELLS), NODES, SLOTS, 2))

    @classmethod
    def from_choices(cls, chosen: Tensor, joint: bool) -> Self:
        """The children of chosen indices of every factor (K × F), on their device and without waiting for it."""
        if joint:
            chosen = torch.stack([chosen // len(PRIMITIVES), chosen % len(PRIMITIVES)], dim=-1)
        return cls(chosen.reshape(len(chosen), len(CELLS), NODES, SLOTS, 2))

    @property
    def genotypes(self) -> list[Genotype]:
        """The same architectures for the host, which waits for the device when it asks first."""
        if self._genotypes is None:
            self._genotypes = [decode(row, "separate") for row in self.table.flatten(1).tolist()]
        return self._genotypes

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: slice) -> Self:
        """Some of the children."""
        chosen = type(self)(self.table[part])
        if self._genotypes is not None:
            chosen._genotypes = self._genotypes[part]
        return chosen
