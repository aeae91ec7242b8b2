"""What a minibatch would say of an architecture whose accuracy is known: a stand-in for a child's likelihood."""

import numpy as np

from parsec.benchmarks.columns import Reals
from parsec.benchmarks.nasbench201 import Data

CLASSES: dict[Data, int] = {"cifar10": 10, "cifar100": 100, "in16": 120}
ALMOST = 1.0 - 1e-6
"""Largest accuracy that is told from 1, whose logarithm of what is left would be −∞."""


def mean_log_likelihood(accuracies: Reals, classes: int) -> Reals:
    """Expected log-likelihood in nats of an image under a calibrated classifier.

    It is a log a + (1 − a) log((1 − a)/(C − 1)): with probability a, its accuracy, the classifier is right, and it says
    so, a for its answer and the rest for the other classes in equal parts. Below chance it is taken for a guess,
    −log C. The literature gives no such rule; this one rises with the accuracy and has the unit of the loss that a
    search sees.

    Args:
        accuracies: percent.
        classes: C.
    """
    right = np.clip(accuracies / 100.0, 1.0 / classes, ALMOST)
    found: Reals = right * np.log(right) + (1 - right) * np.log((1 - right) / (classes - 1))
    return found
