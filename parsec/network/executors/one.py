"""Executor `one`: children one after another, so that memory is that of one architecture (PARSEC, abstract)."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.estimator import OnlineWeights
from parsec.network.supernet import Supernet
from parsec.space.genotype import Genotype


class Accumulated(NamedTuple):
    """What a v-step saw, as 0-d float64 tensors on the device."""

    loss: Tensor
    """Mean cross-entropy of an image, weighted by ω."""
    effective_sample_size: Tensor


class One:
    """Runs children of `supernet` in turn; `autocast` opens the context in which forward passes run."""

    def __init__(self, supernet: Supernet, autocast: Callable[[], AbstractContextManager[None]]) -> None:
        self.supernet = supernet
        self.autocast = autocast

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        with self.autocast():
            return self.supernet(child, images)

    def log_likelihoods(self, children: Sequence[Genotype], images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            return torch.stack([-_cross_entropy(self.logits(child, images), labels) for child in children])

    def accumulate(
        self, children: Sequence[Genotype], images: Tensor, labels: Tensor, temperature: float = 1.0
    ) -> Accumulated:
        """Write −(1/B) Σ_k ω_k ∇_v log p(y|X,v,α_k) into the bank's gradient (PARSEC's v-step, negated to descend).

        One forward and one backward pass a child and no second buffer: the gradient so far is rescaled whenever the
        running maximum of the log weights moves. The factor 1/B keeps DARTS' learning rates, made for mean losses.
        """
        gradient = self.supernet.bank.gradient.zero_()
        weights = OnlineWeights(images.device)
        loss = torch.zeros((), dtype=torch.float64, device=images.device)
        for child in children:
            negative = _cross_entropy(self.logits(child, images), labels)
            keep, new = weights.add(-negative.detach() / temperature)
            gradient.mul_(keep)
            (negative * (new / len(labels))).backward()
            loss = loss * keep + negative.detach() * (new / len(labels))
        gradient.div_(weights.total)
        return Accumulated(loss / weights.total, weights.effective_sample_size())


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of the minibatch, in float64 because importance weights exponentiate it."""
    return F.cross_entropy(logits.double(), labels, reduction="sum")
