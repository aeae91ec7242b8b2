"""How learning rate and drop-path change from epoch to epoch (DARTS recipe); fixed within an epoch."""

import math

from parsec.config.training import Optimizer


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
