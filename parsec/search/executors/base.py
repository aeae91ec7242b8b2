"""Executor interface: evaluate K sampled architectures on one minibatch; all executors agree up to rounding."""

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.spaces import Child, SharedWeights
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights


class StepStats(NamedTuple):
    """Statistics of a v-step, as 0-d float64 tensors on the device."""

    loss: Tensor
    """Mean cross-entropy per image, weighted by ω."""
    effective_sample_size: Tensor


class Executor(Protocol):
    """Runs sampled architectures with one set of shared weights on a minibatch of B images."""

    @property
    def supernet(self) -> SharedWeights:
        """The network of shared weights."""

    device_driven: bool
    """Whether the architectures stay on the device; otherwise the host reads them to choose what to launch."""

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture."""

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """Add −(1/B) Σ_k exp(log w_k − m) ∇_v log p(y|X,v,α_k) to the gradient, m the largest log weight so far.

        Whenever m grows, the gradient and the sums in `weights` of earlier architectures are rescaled.
        """


def weighted_backward(
    executor: Executor, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float = 1.0
) -> StepStats:
    """Write −(1/B) Σ_k ω_k ∇_v log p(y|X,v,α_k), PARSEC's v-step negated to descend, into the supernet's gradient.

    With the factor 1/B the learning rates of DARTS, chosen for mean losses, apply.
    """
    gradient, weights = executor.supernet.weights.gradient.zero_(), OnlineWeights(images.device)
    # Accumulates −(1/B) Σ_k w_k ∇_v log p with unnormalised weights w_k relative to the largest so far …
    executor.add_gradients(children, images, labels, temperature, weights)
    # … so that dividing by Σ w_k gives the normalised ω_k.
    gradient.div_(weights.total)
    loss = -weights.mean_log_weight() * temperature / len(labels)
    return StepStats(loss, weights.effective_sample_size())


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """−log p(y|X) of a minibatch, in float64 because importance weights exponentiate it.

    Logits are B × classes for a 0-d result, or S × B × classes for one result per architecture (S).
    """
    if logits.dim() == 2:
        return F.cross_entropy(logits.double(), labels, reduction="sum")
    flat = F.cross_entropy(logits.double().flatten(0, 1), labels.repeat(len(logits)), reduction="none")
    return flat.view(len(logits), -1).sum(1)


def is_negligible_weight(share: Tensor, dtype: torch.dtype) -> bool:
    """Whether exp(log w_k − m) is so small that its gradient is lost in rounding next to the largest one.

    The largest log weight m can only grow, so what is negligible stays so. Only decided on the CPU, where it costs
    nothing; a GPU would have to be waited for.
    """
    return share.device.type == "cpu" and float(share) < torch.finfo(dtype).eps / 2
