"""Training the predictors of several repeats at once."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from parsec.predictor.encode import Encoded
from parsec.predictor.network import Networks, initial
from parsec.settings.predictor import Predictor


class Fitted(NamedTuple):
    """Trained networks, and the unit of what they predict: accuracies [R] in percent."""

    networks: Networks
    mean: Tensor
    scale: Tensor

    def predict(self, repeat: int, graphs: Encoded) -> Tensor:
        """Accuracies in percent [E, n] that the members of one repeat predict for graphs [n, ...]."""
        return self.mean[repeat] + self.scale[repeat] * self.networks.of(repeat).predict(graphs)


def fit(graphs: Encoded, reached: Tensor, settings: Predictor, generators: Sequence[torch.Generator]) -> Fitted:
    """Fit the members of every repeat to its own architectures by least squares, a fixed number of full batches.

    The loss is a sum over networks that share nothing and Adam works number by number, so that each network is trained
    as it would be alone.

    Args:
        graphs: [R, n, ...].
        reached: accuracies in percent [R, n]; standardised within a repeat.
        settings: the ensemble and its training.
        generators: one a repeat, for the first weights.
    """
    mean, scale = reached.mean(-1), reached.std(-1, correction=0).clamp(min=1e-6)
    targets = ((reached - mean[:, None]) / scale[:, None])[:, None]
    features = graphs.inputs.shape[-1] // 3
    networks = initial(features, settings.width, settings.depth, settings.members, generators)
    weights = [part.requires_grad_() for part in networks.parameters()]
    adam = torch.optim.AdamW(weights, lr=settings.learning_rate, weight_decay=settings.weight_decay, foreach=True)
    for _ in range(settings.steps):
        adam.zero_grad()
        loss = (networks(graphs) - targets).square().mean(-1).sum()
        loss.backward()
        adam.step()
    return Fitted(networks, mean, scale)
