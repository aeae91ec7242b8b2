"""Executor `sequential`: architectures one after another, in the memory of one (PARSEC, abstract)."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from parsec.network.spaces import Child, SharedWeights
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.base import is_negligible_weight, summed_cross_entropy


class SequentialExecutor:
    """Runs architectures of `supernet` in turn.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which forward passes run.
        skip_negligible: leave out the backward pass of an architecture whose weight cannot change the last digit of the
            gradient.
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
        """Architectures with a backward pass so far; fewer than forward passes where negligible ones are skipped."""

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture."""
        with self.autocast():
            return self.supernet(child, images)

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad(), sharing_casts(images.device):
            return torch.stack([-summed_cross_entropy(self.logits(c, images), labels) for c in children.genotypes])

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`: one forward and one backward pass per architecture, and no second buffer."""
        gradient = self.supernet.weights.gradient
        with sharing_casts(images.device):
            for child in children.genotypes:
                # −log p(y|X,v,α_k), and log w_k = log p(y|X,v,α_k) / T.
                negative = summed_cross_entropy(self.logits(child, images), labels)
                keep, new = weights.add(-negative.detach() / temperature)
                if self.skip_negligible and is_negligible_weight(new, gradient.dtype):
                    continue
                # Online softmax: if log w_k is the largest so far, rescale the gradients of all architectures before.
                gradient.mul_(keep)
                # Add −(1/B) exp(log w_k − m) ∇_v log p(y|X,v,α_k).
                self.backward_passes += 1
                (negative * (new / len(labels))).backward()


def sharing_casts(device: torch.device) -> torch.autocast:
    """Context in which architectures share the weights that autocast rounds for them.

    Autocast forgets what it rounded when its outermost context ends. This one changes nothing else: passes forward open
    their own within it, and passes backward run without, as they must.
    """
    return torch.autocast(device.type, enabled=False)
