"""Searches on a tabular benchmark: random search, regularised evolution, assisted evolution, REINFORCE."""

from collections import deque
from collections.abc import Generator, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from parsec.config.tabular import AssistedEvolution, Evolution, Reinforce
from parsec.tabular.problem import A, FactoredProblem, Problem

Search: TypeAlias = Generator[A, float, None]
"""Yields the architecture to train next and is sent the accuracy that it reached, in percent; it never ends."""


class Improvement(NamedTuple):
    """New best architecture, from the training that reached it on."""

    trained: int
    """Trained architectures, this one included."""
    architecture: int
    """As the problem numbers it."""
    accuracy: float
    """Accuracy in percent, as the search saw it."""
    seconds: float | None
    """Of training so far, this one included; None where no times are known."""


class Budget(NamedTuple):
    """Budget of a search; an architecture trained twice costs twice."""

    trainings: int
    seconds: float | None
    """Limit on the simulated time of all trainings; None: no limit."""
    costs: NDArray[np.float64] | None
    """Seconds of one training by number of the architecture; None: not known."""


def follow(search: Search[int], problem: Problem[int], budget: Budget) -> list[Improvement]:
    """Run a search until the budget is spent: every new best of it."""
    architecture, kept, best, spent = next(search), list[Improvement](), -np.inf, 0.0
    for trained in range(1, budget.trainings + 1):
        spent += 0.0 if budget.costs is None else float(budget.costs[architecture])
        if budget.seconds is not None and spent > budget.seconds:
            break
        accuracy = problem.accuracy(architecture)
        if accuracy > best:
            best = accuracy
            kept.append(Improvement(trained, architecture, accuracy, None if budget.costs is None else spent))
        architecture = search.send(accuracy)
    return kept


def random_search(problem: Problem[A], rng: np.random.Generator) -> Search[A]:
    """Random architectures without end, with replacement."""
    while True:
        yield problem.draw(1, rng)[0]


def evolution(
    problem: Problem[A], settings: Evolution, rng: np.random.Generator, first: Sequence[A] | None = None
) -> Search[A]:
    """Trains the first population, drawn at random if None, then a mutation of the best of a sample, without end.

    The sample is drawn with replacement and a child takes the place of the oldest. A mutation is a uniformly drawn
    neighbour; an architecture without neighbours is trained again.
    """
    living: deque[tuple[A, float]] = deque(maxlen=settings.population)
    for architecture in problem.draw(settings.population, rng) if first is None else first:
        living.append((architecture, (yield architecture)))
    while True:
        sample = [living[place] for place in rng.integers(len(living), size=settings.sample)]
        parent, _ = max(sample, key=lambda pair: pair[1])
        near = problem.neighbours(parent) or [parent]
        child = near[int(rng.integers(len(near)))]
        living.append((child, (yield child)))


def assisted_evolution(
    problem: Problem[A], settings: AssistedEvolution, scores: Mapping[A, float], rng: np.random.Generator
) -> Search[A]:
    """Evolution that begins with the highest scores of a random sample, drawn with replacement.

    A score of −∞ stands for a failed one, which is chosen last.
    """
    known = list(scores)
    drawn = [known[place] for place in rng.integers(len(known), size=settings.candidates)]
    best = sorted(drawn, key=lambda architecture: scores[architecture], reverse=True)[: settings.population]
    return evolution(problem, settings, rng, best)


FloatArray = NDArray[np.float64]
DECAY = (0.9, 0.999)
EPSILON = 1e-8
"""Adam's defaults (Kingma and Ba, ICLR 2015)."""


class _Adam:
    """Ascent along gradients [factors, choices] from zero; in numpy, because a step is a few numbers."""

    def __init__(self, shape: tuple[int, int], rate: float) -> None:
        self.values = np.zeros(shape)
        self._rate, self._steps = rate, 0
        self._moments = [np.zeros(shape), np.zeros(shape)]

    def ascend(self, gradient: FloatArray) -> None:
        self._steps += 1
        for moment, decay, term in zip(self._moments, DECAY, (gradient, gradient**2), strict=True):
            moment += (1 - decay) * (term - moment)
        mean, square = (m / (1 - d**self._steps) for m, d in zip(self._moments, DECAY, strict=True))
        self.values += self._rate * mean / (np.sqrt(square) + EPSILON)


def reinforce(problem: FactoredProblem[A], settings: Reinforce, rng: np.random.Generator) -> Search[A]:
    """Samples from the policy, whose logits [factors, choices] follow (accuracy − baseline) ∇ log p without end.

    The policy is uniform at first. The baseline is the moving average of all accuracies so far, the newest included,
    corrected for its beginning, as in the authors' code; all factors have equally many choices.
    """
    factors, choices = len(problem.choices), problem.choices[0]
    logits, total, weight = _Adam((factors, choices), settings.rate), 0.0, 0.0
    while True:
        policy = np.exp(logits.values - logits.values.max(axis=1, keepdims=True))
        policy /= policy.sum(axis=1, keepdims=True)
        chosen = (policy.cumsum(axis=1) < rng.random((factors, 1))).sum(axis=1).clip(max=choices - 1)
        accuracy = yield problem.of_choices([int(choice) for choice in chosen])
        total = settings.momentum * total + (1 - settings.momentum) * accuracy
        weight = settings.momentum * weight + (1 - settings.momentum)
        logits.ascend((accuracy - total / weight) * (np.eye(choices)[chosen] - policy))
