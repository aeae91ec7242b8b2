"""The tables that the launches of a step read."""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from parsec.space.darts import SLOTS


class Rows(NamedTuple):
    """What the launches of a cell read, int64; in a row that is left out every number is −1."""

    picks: Tensor
    """[node, 2S, `tables.PICK_COLUMNS`]."""
    halvings: Tensor
    """Those picks that are factorised reductions, [node, 2S, `tables.MIX_COLUMNS`]."""
    projections: Tensor
    """Of the two inputs, [2, S, `tables.MIX_COLUMNS`]."""

    def of_cell(self, index: int) -> Self:
        """Those of one cell, of rows of all cells."""
        return type(self)(*(each[index] for each in self))

    def without_negligible(self, share: Tensor, dtype: torch.dtype) -> Self:
        """All but those of children whose share of the gradient (S) is lost in the rounding of the largest one's."""
        dead = (share < torch.finfo(dtype).eps / 2).view(-1, 1)
        slots = dead.repeat_interleave(SLOTS, 0)
        picks, halvings = self.picks.masked_fill(slots, -1), self.halvings.masked_fill(slots, -1)
        return type(self)(picks, halvings, self.projections.masked_fill(dead, -1))
