"""Executor `stacked`: S children at once along channels, for launches that hardly grow with their number."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from parsec.network.supernet import Supernet, stacked_logits
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import summed_cross_entropy
from parsec.search.executors.sequential import is_negligible
from parsec.space.darts import Genotype


class GroupedExecutor:
    """Runs children of `supernet`, `in_flight` at once.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which forward passes run.
        in_flight: S.
        skip_negligible: leave out the backward pass where no weight of the S can change the gradient's last digit.
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
        """Children that went backward so far; fewer than went forward where negligible ones are skipped."""

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        return self._logits([child], images)[0]

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            logits = (self._logits(part, images) for part in self._parts(children))
            return torch.cat([-summed_cross_entropy(each, labels) for each in logits])

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`: one forward and one backward pass for S children."""
        gradient = self.supernet.bank.gradient
        for part in self._parts(children):
            negative = summed_cross_entropy(self._logits(part, images), labels)
            keep, new = weights.add(-negative.detach() / temperature)
            if self.skip_negligible and is_negligible(new.amax(), gradient.dtype):
                continue
            gradient.mul_(keep)
            self.backward_passes += len(part)
            (negative @ new / len(labels)).backward()

    def _logits(self, children: list[Genotype], images: Tensor) -> Tensor:
        """Logits (S × B × classes) of children that run at once."""
        with self.autocast():
            return stacked_logits(self.supernet, children, images)

    def _parts(self, children: ArchitectureBatch) -> Iterator[list[Genotype]]:
        for first in range(0, len(children), self.in_flight):
            yield children.genotypes[first : first + self.in_flight]
