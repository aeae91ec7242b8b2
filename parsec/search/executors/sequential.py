"""Executor `one`: children one after another, so that memory is that of one architecture (PARSEC, abstract)."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from parsec.network.spaces import Child, SharedWeights
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import summed_cross_entropy


class SequentialExecutor:
    """Runs children of `supernet` in turn.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which forward passes run.
        skip_negligible: leave out the backward pass of a child whose weight cannot change the gradient's last digit.
    """

    device_driven = False

    def __init__(
        self,
        supernet: SharedWeights,
        autocast: Callable[[], AbstractContextManager[None]],
        skip_negligible: bool = False,
    ) -> None:
        self.supernet = supernet
        self.autocast = autocast
        self.skip_negligible = skip_negligible
        self.backward_passes = 0
        """Children that went backward so far; fewer than went forward where negligible ones are skipped."""

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        with self.autocast():
            return self.supernet(child, images)

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            return torch.stack([-summed_cross_entropy(self.logits(c, images), labels) for c in children.genotypes])

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`: one forward and one backward pass a child, and no second buffer."""
        gradient = self.supernet.bank.gradient
        for child in children.genotypes:
            negative = summed_cross_entropy(self.logits(child, images), labels)
            keep, new = weights.add(-negative.detach() / temperature)
            if self.skip_negligible and is_negligible(new, gradient.dtype):
                continue
            gradient.mul_(keep)
            self.backward_passes += 1
            (negative * (new / len(labels))).backward()


def is_negligible(share: Tensor, dtype: torch.dtype) -> bool:
    """Whether a share of the gradient is lost in the rounding of the largest child's share.

    The largest log weight so far can only grow, so a child that is negligible now stays so. The answer is given on
    the CPU alone, where it costs nothing: a GPU would have to be waited for.
    """
    return share.device.type == "cpu" and float(share) < torch.finfo(dtype).eps / 2
