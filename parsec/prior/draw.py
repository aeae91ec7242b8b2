"""Drawing from categorical distributions by inverting their cumulative distribution functions."""

import torch
from torch import Tensor

UNITS = 2.0**51
"""Probabilities are counted in units of 2⁻⁵¹, so that their sums are whole numbers that float64 holds exactly."""


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """The choice that every uniform number falls on, int64 of the shape of `uniform`, on its device without a wait.

    Whole numbers have the same sums in whatever order a device adds them: the cumulative function never falls, its
    end is beyond every uniform number, and a choice of probability zero (or less than a unit) has no room in it. Where
    all are NaN the first choice is taken: a diverged π is for others to find, and no index is ever invalid.

    Args:
        probabilities: float64 [..., O], of which every row sums to 1 but for rounding; broadcast against `uniform`.
        uniform: float64 in [0, 1).
    """
    reached = (probabilities.nan_to_num(nan=0.0) * UNITS).to(torch.int64).cumsum(-1)
    total = reached[..., -1]
    # The product of a uniform number just below 1 may be rounded up to the total.
    place = torch.minimum((uniform * total).to(torch.int64), total - 1)
    return (reached <= place.unsqueeze(-1)).sum(-1)
