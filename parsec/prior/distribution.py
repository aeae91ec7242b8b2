"""The architecture distribution p(α|π): a product of categoricals with logits as parameters (PARSEC, section 2).

Dimensions: F factors, O choices of the largest factor, K sampled architectures, P pairs of slots (one a node).
"""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor

from parsec.prior.children import Children
from parsec.prior.draw import draw
from parsec.runtime.device import to_device
from parsec.settings.search import Prior as Form
from parsec.space.factors import Factor
from parsec.space.spaces import DARTS, Architecture, SearchSpace


def _mask(all_factors: tuple[Factor, ...]) -> Tensor:
    """Which entries of the F × O table are choices and which only pad it."""
    sizes = torch.tensor([len(factor.choices) for factor in all_factors])
    return torch.arange(int(sizes.max())) < sizes[:, None]


class Prior:
    """p(α|π) on a space, with `logits` (float64, F × O, padded with zeros) as its parameters, wherever they lie.

    With `inputs="distinct"` the second slot of a node is drawn from its own categorical without the input that the
    first slot took, so that probabilities, entropy and mode are those of the pair. What returns a tensor does not wait
    for the device; what returns a number or a genotype does.
    """

    def __init__(self, form: Form, logits: Tensor | None = None, space: SearchSpace = DARTS) -> None:
        self.form, self.space = form, space
        self.factors = space.factors(form.factors)
        mask = _mask(self.factors)
        values = torch.zeros(mask.shape, dtype=torch.float64) if logits is None else logits.detach().clone()
        self.logits = values.requires_grad_()
        self.mask = mask.to(values.device)
        slots = [i for i, factor in enumerate(self.factors) if factor.kind != "operation"]
        self._all, self._first, self._second = map(self._indices, (range(len(self.factors)), slots[0::2], slots[1::2]))
        self._others = self._indices([i for i in range(len(self.factors)) if i not in slots[1::2]])
        self._pairs = self._indices(range(len(slots) // 2))
        width = len(self.factors[0].choices) // 2 if form.factors == "joint" else 1
        source = torch.arange(mask.shape[1], device=values.device) // width
        self._same_input = source[:, None] == source

    def _indices(self, positions: Sequence[int]) -> Tensor:
        """Positions as a tensor where π lies: a list used as an index would be copied there and waited for."""
        return torch.tensor(positions, dtype=torch.int64, device=self.logits.device)

    def to(self, device: torch.device | str) -> Self:
        """The same distribution with logits of its own on a device; itself if they are there."""
        if self.logits.device == torch.device(device):
            return self
        return type(self)(self.form, self.logits.to(device), self.space)

    def log_probs(self) -> Tensor:
        """Log-probability of every choice by itself (F × O); minus infinity where the table is padded."""
        return self.logits.masked_fill(~self.mask, -torch.inf).log_softmax(-1)

    def _second_given_first(self) -> Tensor:
        """Log-probability (P × O × O) of the second slot's choice given the first slot's, with distinct inputs."""
        logits = self.logits[self._second].masked_fill(~self.mask[self._second], -torch.inf)
        return logits[:, None].masked_fill(self._same_input, -torch.inf).log_softmax(-1)

    def sample(self, count: int, generator: torch.Generator) -> Tensor:
        """Draw `count` architectures with a generator on the CPU: chosen index of every factor (K × F, int64).

        The uniform numbers do not depend on π, so that the CPU can be ahead of the device on which π lies, and every
        device draws the same architectures from the same π.
        """
        uniform = torch.rand(count, len(self.factors), dtype=torch.float64, generator=generator)
        return self.choose(to_device(uniform, self.logits.device))

    def choose(self, uniform: Tensor) -> Tensor:
        """The architectures (K × F, int64) that uniform numbers in [0, 1) (K × F, float64) stand for."""
        with torch.no_grad():
            chosen = draw(self.log_probs().exp(), uniform)
            if self.form.inputs == "distinct":
                given = self._second_given_first()[self._pairs, chosen[:, self._first]].exp()
                chosen[:, self._second] = draw(given, uniform[:, self._second])
            return chosen

    def log_prob(self, chosen: Tensor) -> Tensor:
        """Log p(α|π) of architectures given as chosen indices (K × F): a differentiable vector of K."""
        single = self.log_probs()[self._all, chosen]
        if self.form.inputs == "independent":
            return single.sum(1)
        given = self._second_given_first()[self._pairs, chosen[:, self._first], chosen[:, self._second]]
        return single[:, self._others].sum(1) + given.sum(1)

    def marginals(self) -> Tensor:
        """Probability of every choice in a draw from p(α|π) (F × O); zero where the table is padded."""
        probabilities = self.log_probs().exp()
        if self.form.inputs == "independent":
            return probabilities
        given = self._second_given_first().exp()
        pairs = (probabilities[self._first][:, None] @ given).squeeze(1)
        return probabilities.index_copy(0, self._second, pairs)

    def entropy(self) -> float:
        """Exact entropy of p(α|π) in nats."""
        return float(self.exact_entropy())

    def exact_entropy(self) -> Tensor:
        """The entropy where π lies (0-d, float64, without gradient)."""
        with torch.no_grad():
            log_p = self.log_probs()
            single = _entropy(log_p)
            if self.form.inputs == "independent":
                return single.sum()
            pairs = (log_p[self._first].exp() * _entropy(self._second_given_first())).sum(-1)
            return single.index_copy(0, self._second, pairs).sum()

    def has_mode(self) -> bool:
        """Whether every factor has one choice that is more probable than all others."""
        with torch.no_grad():
            highest = self.marginals().topk(2).values
            return bool((highest[:, 0] > highest[:, 1]).all())

    def mode(self) -> Architecture:
        """Most probable architecture: the argmax of every factor, or of every pair of slots with distinct inputs.

        In the form `edges` the one that the space derives from all probabilities.
        """
        with torch.no_grad():
            log_p = self.log_probs()
            if self.form.factors == "edges":
                derived: Architecture = self.space.derive(log_p.exp().tolist())
                return derived
            chosen = log_p.argmax(-1)
            if self.form.inputs == "distinct":
                pairs = log_p[self._first][:, :, None] + self._second_given_first()
                best = pairs.flatten(1).argmax(-1)
                chosen[self._first] = best // self.mask.shape[1]
                chosen[self._second] = best % self.mask.shape[1]
            found: Architecture = self.space.decode(chosen.tolist(), self.form.factors)
            return found

    def children(self, chosen: Tensor) -> Children:
        """Architectures of chosen indices (K × F)."""
        return Children.from_choices(chosen, self.form.factors == "joint", self.space)


def _entropy(log_p: Tensor) -> Tensor:
    """Entropy in nats over the last dimension; choices of probability zero add nothing."""
    return -(log_p.exp() * log_p.masked_fill(log_p == -torch.inf, 0.0)).sum(-1)
