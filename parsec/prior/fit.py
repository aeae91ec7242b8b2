"""Fitting π to architectures: maximum likelihood of a product of categoricals, which is a matter of counting.

Dimensions: N architectures, F factors, O choices of the largest factor.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parsec.space.factors import Factor


def fit(indices: NDArray[np.int64], factors: Sequence[Factor], pseudo_count: float) -> Tensor:
    """Logits (F × O, float64, padded with zeros) of the π under which these architectures are most probable.

    The factors of π are independent, so that the likelihood is highest where every probability is the share of the
    architectures that take the choice: (n + c) / (N + c · choices of the factor), with c > 0 the mode of the posterior
    under a symmetric Dirichlet prior of concentration 1 + c. The logits are the logarithms of these shares.

    Args:
        indices: chosen index of every factor, [N, F].
        factors: as `SearchSpace.factors` gives them.
        pseudo_count: c, in architectures, added to every choice; with 0 a choice that none takes has the logit −∞.

    Raises:
        ValueError: no architecture, a negative pseudo-count, or an index that is no choice of its factor.
    """
    sizes = np.array([len(factor.choices) for factor in factors])
    if pseudo_count < 0 or not len(indices) or not ((indices >= 0) & (indices < sizes)).all():
        raise ValueError("fitting π needs architectures of these factors and a pseudo-count that is not negative")
    logits = torch.zeros(len(sizes), int(sizes.max()), dtype=torch.float64)
    for place, size in enumerate(sizes.tolist()):
        counts = np.bincount(indices[:, place], minlength=size) + pseudo_count
        logits[place, :size] = torch.from_numpy(counts / counts.sum()).log()
    return logits
