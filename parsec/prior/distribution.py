"""p(α|π): a product of independent categoricals over the choices that make an architecture (PARSEC, section 3.1)."""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parsec.runtime.device import to_device
from parsec.space.factors import WEIGHTLESS, Factor, Form
from parsec.space.spaces import DARTS, Architecture, SearchSpace

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
    position = torch.minimum((uniform * total).to(torch.int64), total - 1)
    return (reached <= position.unsqueeze(-1)).sum(-1)


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
    for i, size in enumerate(sizes.tolist()):
        counts = np.bincount(indices[:, i], minlength=size) + pseudo_count
        logits[i, :size] = torch.from_numpy(counts / counts.sum()).log()
    return logits


class ArchitectureBatch:
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
        """The batch of these architectures, in their order."""
        indices = [space.encode(each, "separate") for each in genotypes]
        rows = torch.tensor(indices, dtype=torch.int64, device=device)
        return cls(rows.view(len(genotypes), *space.shape), space)

    @property
    def genotypes(self) -> list[Any]:
        """The same architectures for the host, in the type of the space; waits for the device when asked first."""
        if self._genotypes is None:
            self._genotypes = [self.space.decode(row, "separate") for row in self.table.flatten(1).tolist()]
        return self._genotypes

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, part: slice) -> Self:
        """Some of the architectures."""
        selected = type(self)(self.table[part], self.space)
        if self._genotypes is not None:
            selected._genotypes = self._genotypes[part]
        return selected


class Prior:
    """p(α|π) on a space, with `logits` (float64, F × O, padded with zeros) as its parameters, wherever they lie.

    What returns a tensor does not wait for the device; what returns a number or a genotype does.
    """

    def __init__(self, form: Form = "separate", logits: Tensor | None = None, space: SearchSpace = DARTS) -> None:
        self.form, self.space = form, space
        self.factors = space.factors(form)
        # Which entries of the F × O table are choices; the others only pad it.
        sizes = torch.tensor([len(factor.choices) for factor in self.factors])
        mask = torch.arange(int(sizes.max())) < sizes[:, None]
        values = torch.zeros(mask.shape, dtype=torch.float64) if logits is None else logits.detach().clone()
        self.logits = values.requires_grad_()
        self.mask = mask.to(values.device)
        # A tensor where π lies: a list used as an index would be copied there and waited for.
        self._all = torch.arange(len(self.factors), device=values.device)

    def to(self, device: torch.device | str) -> Self:
        """The same distribution with logits of its own on a device; itself if they are there."""
        if self.logits.device == torch.device(device):
            return self
        return type(self)(self.form, self.logits.to(device), self.space)

    def with_weightless_share(self, share: float) -> Self:
        """A fixed distribution in which operations without weights have the probability `share` in (0, 1) together.

        Operations with weights share out the rest, both equally; inputs are chosen as here.
        """
        logits = self.logits.detach().clone()
        for row, factor in zip(logits, self.factors, strict=True):
            free = sum(name in WEIGHTLESS for name in factor.choices)
            # A factor with one kind of operation, or none, has nothing to share out.
            if factor.kind != "input" and 0 < free < len(factor.choices):
                each = {True: share / free, False: (1 - share) / (len(factor.choices) - free)}
                values = [math.log(each[name in WEIGHTLESS]) for name in factor.choices]
                row[: len(values)] = torch.tensor(values, dtype=row.dtype)
        return type(self)(self.form, logits, self.space)

    def log_probs(self) -> Tensor:
        """Log-probability of every choice by itself (F × O); minus infinity where the table is padded."""
        return self.logits.masked_fill(~self.mask, -torch.inf).log_softmax(-1)

    def sample(self, count: int, generator: torch.Generator, stratified: bool = False) -> Tensor:
        """Draw `count` architectures with a generator on the CPU: chosen index of every factor (K × F, int64).

        The uniform numbers do not depend on π, so that the CPU can be ahead of the device on which π lies, and every
        device draws the same architectures from the same π. If `stratified`, the K numbers of a factor lie one in each
        of K equal parts of [0, 1): each number by itself is uniform, so that each architecture is an exact draw.
        """
        uniform = torch.rand(count, len(self.factors), dtype=torch.float64, generator=generator)
        if stratified:
            # An order of the K strata per factor, independent of the other factors'.
            strata = torch.rand(count, len(self.factors), dtype=torch.float64, generator=generator).argsort(0)
            uniform = (strata + uniform) / count
        return self.choose(to_device(uniform, self.logits.device))

    def choose(self, uniform: Tensor) -> Tensor:
        """The architectures (K × F, int64) that uniform numbers in [0, 1) (K × F, float64) stand for."""
        with torch.no_grad():
            return draw(self.log_probs().exp(), uniform)

    def log_prob(self, indices: Tensor) -> Tensor:
        """Log p(α|π) of architectures given as chosen indices (K × F): a differentiable vector of K."""
        return self.log_probs()[self._all, indices].sum(1)

    def marginals(self) -> Tensor:
        """Probability of every choice in a draw from p(α|π) (F × O); zero where the table is padded."""
        return self.log_probs().exp()

    def entropy(self) -> float:
        """Exact entropy of p(α|π) in nats."""
        return float(self.entropy_tensor())

    def entropy_tensor(self) -> Tensor:
        """The entropy where π lies (0-d, float64, without gradient)."""
        with torch.no_grad():
            log_p = self.log_probs()
            # By factor first; choices of probability zero, and the padding, add nothing.
            by_factor = -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
            return by_factor.sum()

    def has_mode(self) -> bool:
        """Whether every factor has one choice that is more probable than all others."""
        with torch.no_grad():
            highest = self.marginals().topk(2).values
            return bool((highest[:, 0] > highest[:, 1]).all())

    def mode(self) -> Architecture:
        """Most probable architecture; in the form `edges` the one that the space derives from all probabilities."""
        with torch.no_grad():
            log_p = self.log_probs()
        mode: Architecture
        if self.form == "edges":
            mode = self.space.derive(log_p.exp().tolist())
        else:
            mode = self.space.decode(log_p.argmax(-1).tolist(), self.form)
        return mode

    def children(self, indices: Tensor) -> ArchitectureBatch:
        """Architectures of chosen indices (K × F), on their device and without waiting for it."""
        return ArchitectureBatch(indices.reshape(len(indices), *self.space.shape), self.space)
