"""Optimizers and schedules of the DARTS recipe; learning rate and drop-path are constant within an epoch."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from parsec.config.search import PriorOptimizer, Relaxation
from parsec.config.training import Optimizer


def sgd(parameters: Iterable[Tensor], settings: Optimizer) -> torch.optim.SGD:
    """SGD with momentum and weight decay, for shared weights and for retraining."""
    return torch.optim.SGD(
        parameters,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        fused=True,
    )


def adam(parameters: Iterable[Tensor], settings: PriorOptimizer | Relaxation) -> torch.optim.Adam:
    """Adam, for the logits of π; only relaxed methods decay them."""
    decay = settings.weight_decay if isinstance(settings, Relaxation) else 0.0
    return torch.optim.Adam(parameters, lr=settings.learning_rate, betas=settings.betas, weight_decay=decay, fused=True)


def learning_rate(optimizer: Optimizer, epoch: int, epochs: int) -> float:
    """Learning rate of epoch number `epoch` (from 0) of `epochs`.

    `cosine` falls from the initial rate towards the final one, which it would reach at epoch `epochs`;
    `exponential` multiplies by `decay` after every epoch.
    """
    if optimizer.schedule == "exponential":
        return optimizer.learning_rate * optimizer.decay**epoch
    span = optimizer.learning_rate - optimizer.final_learning_rate
    return optimizer.final_learning_rate + span * (1 + math.cos(math.pi * epoch / epochs)) / 2


def drop_path(probability: float, epoch: int, epochs: int) -> float:
    """Drop-path probability of epoch number `epoch` (from 0) of `epochs`.

    It rises from 0 by equal steps towards `probability`, which it would reach at epoch `epochs`, as in the DARTS code.
    """
    return probability * epoch / epochs
