"""A space of 125 made-up architectures: three factors of five choices."""

import numpy as np
import pytest


class Toy:
    """An architecture is a number of three digits to the base five; neighbours differ in one digit."""

    name = "toy"
    choices = (5, 5, 5)
    everything = range(125)

    def __init__(self, accuracies):
        self.reached = accuracies

    def draw(self, count, rng):
        return [int(index) for index in rng.integers(125, size=count)]

    def neighbours(self, architecture):
        digits = np.base_repr(architecture, 5).zfill(3)
        return [
            int(digits[:i] + other + digits[i + 1 :], 5) for i in range(3) for other in "01234" if other != digits[i]
        ]

    def of_choices(self, chosen):
        return int("".join(map(str, chosen)), 5)

    def accuracy(self, architecture):
        return float(self.reached[architecture])

    def graphs(self, architectures):
        raise NotImplementedError


@pytest.fixture
def toy():
    """Accuracy grows with the digits' sum; 124 is the best."""
    digits = np.stack(np.unravel_index(np.arange(125), (5, 5, 5)))
    return Toy(50.0 + digits.sum(axis=0))


@pytest.fixture
def trained(toy):
    """A function search, count → the architectures that it trains."""

    def run(search, count):
        architectures = [next(search)]
        while len(architectures) < count:
            architectures.append(search.send(toy.accuracy(architectures[-1])))
        return architectures

    return run
