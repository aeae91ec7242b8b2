"""Executor `grouped`: S architectures at once, concatenated along channels.

One grouped convolution runs a primitive for all architectures that use it at a node, so launches hardly grow with S.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from parsec.network.supernet import Supernet, stacked_logits
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import is_negligible_weight, summed_cross_entropy
from parsec.space.darts import Genotype


class GroupedExecutor:
    """Runs architectures of `supernet`, `in_flight` at once.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which forward passes run.
        in_flight: S.
        skip_negligible: leave out the backward pass of S architectures if none of their weights can change the last
            digit of the gradient.
    """

    device_driven = False

    def __init__(
        self,
        supernet: Supernet,
        autocast: Callable[[], AbstractContextManager[None]],
        in_flight: int,
        skip_negligible: bool = False,
    ) -> None:
        self.supernet, self.autocast = supernet, autocast
        self.in_flight, self.skip_negligible = in_flight, skip_negligible
        self.backward_passes = 0
        """Architectures with a backward pass so far; fewer than forward passes where negligible ones are skipped."""

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture."""
        return self._logits([child], images)[0]

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            logits = (self._logits(group, images) for group in self._groups(children))
            return torch.cat([-summed_cross_entropy(each, labels) for each in logits])

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`: one forward and one backward pass per S architectures."""
        gradient = self.supernet.weights.gradient
        for group in self._groups(children):
            # −log p(y|X,v,α_k) of the S architectures, and log w_k = log p(y|X,v,α_k) / T.
            negative = summed_cross_entropy(self._logits(group, images), labels)
            keep, new = weights.add(-negative.detach() / temperature)
            if self.skip_negligible and is_negligible_weight(new.amax(), gradient.dtype):
                continue
            # Online softmax: rescale the gradients of earlier groups if this one holds the largest log weight so far.
            gradient.mul_(keep)
            # Add −(1/B) Σ_k exp(log w_k − m) ∇_v log p(y|X,v,α_k) of the group.
            self.backward_passes += len(group)
            (negative @ new / len(labels)).backward()

    def _logits(self, children: list[Genotype], images: Tensor) -> Tensor:
        """Logits (S × B × classes) of architectures run at once."""
        with self.autocast():
            return stacked_logits(self.supernet, children, images)

    def _groups(self, children: ArchitectureBatch) -> Iterator[list[Genotype]]:
        for first in range(0, len(children), self.in_flight):
            yield children.genotypes[first : first + self.in_flight]
