"""Candidate pools of a predictor-based search, and acquisition functions over the ensemble's predictions."""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parsec.config.tabular import Acquisition, AnyPredictorJob, Pool
from parsec.errors import BenchmarkError, PriorError
from parsec.prior.distribution import Prior
from parsec.prior.parquet import read_history, read_metadata, read_prior
from parsec.space import darts
from parsec.space.darts import CELLS, NODES, PRIMITIVES, SLOTS, Cell, Genotype
from parsec.space.nasbench201 import architectures
from parsec.space.spaces import DARTS, NASBENCH201
from parsec.tabular.problem import A, FactoredProblem, FloatArray, Graphs, Problem


class PriorTable(NamedTuple):
    """One π over all 15,625 architectures."""

    name: str
    entropy: float
    """Nats."""
    log_prior: Tensor
    """Log π by the benchmark's index, float64 [15625]."""


def choices() -> Tensor:
    """Number of the operation of every edge of all architectures, int64 [15625, 6]."""
    return torch.tensor([NASBENCH201.encode(architecture, "separate") for architecture in architectures()])


def read_prior_tables(files: Sequence[Path], moments: Sequence[float]) -> list[PriorTable]:
    """The π of every `pi.parquet`, and those of every `trajectory.parquet` after these shares of its epochs.

    Raises:
        PriorError: a file that is missing, damaged or of another space; or two π's of one name.
    """
    table = choices()
    priors = [named for path in files for named in _priors(path, moments)]
    tables = [PriorTable(name, prior.entropy(), prior.log_prob(table).detach()) for name, prior in priors]
    names = [each.name for each in tables]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise PriorError(f"{repeated} was given twice; give every π once")
    return tables


def read_marginals(job: AnyPredictorJob, path: Path | None) -> FloatArray | None:
    """Probabilities [F, O] of the π that a pool of the job draws from; None if none does.

    Raises:
        PriorError: there is none, or it is of another space or form.
    """
    if not any(pool.kind == "prior" for pool in job.pools):
        return None
    if path is None:
        raise PriorError("predictor: a pool of the kind prior needs --pi, the pi.parquet of a search on the same space")
    marginals: FloatArray = read_prior(path, "separate", job.problem).marginals().detach().numpy()
    return marginals


def _priors(path: Path, moments: Sequence[float]) -> Iterator[tuple[str, Prior]]:
    metadata, history = read_metadata(path), read_history(path, "separate", NASBENCH201.name)
    indices = np.rint(np.array(moments) * (len(history) - 1)).astype(int) if len(history) > 1 else np.array([0])
    for index in dict.fromkeys(indices.tolist()):
        epoch, prior = history[index]
        made = f"{metadata.get('stage')} {metadata.get('method')}, seed {metadata.get('seed')}"
        yield (made if metadata.get("stage") == "scores" else f"{made}, epoch {epoch}"), prior


Predictions = NDArray[np.float32]
"""[E, p]: what E members predict for p architectures."""


def pick(predicted: Predictions, count: int, rule: Acquisition, rng: np.random.Generator) -> NDArray[np.int64]:
    """Positions of the `count` best of p architectures, all of them where p is less; equal ones in their order.

    `thompson` takes for every choice the best that is left by a member drawn at random, which stands for a draw from
    the posterior; the other rules rank once.
    """
    if rule != "thompson":
        value = predicted.mean(0) + (predicted.std(0) if rule == "upper_bound" else 0.0)
        return np.argsort(-value, kind="stable")[:count]
    left, taken = predicted.copy(), np.empty(min(count, predicted.shape[1]), np.int64)
    for position, member in enumerate(rng.integers(len(predicted), size=len(taken))):
        taken[position] = left[member].argmax()
        left[:, taken[position]] = -np.inf
    return taken


Score = Callable[[Sequence[Any]], Predictions]
"""Architectures → what the members predict, [E, p]."""
Evaluated = Mapping[Any, float]
"""Trained architectures and the accuracy of each, in the order of training."""

PARENTS = 10
"""Best architectures whose edits a smart subset and a generation are made of."""
EXPLORING = 0.1
"""Share of a smart subset that is uniform."""
TWICE = 1.0 / 3
"""Share of the edits of a smart subset that are two edits; one edit comes first, because it keeps most."""
GENERATIONS = 5
"""Of an evolution; they share the size of the pool."""
DRAWS = 4
"""From π for every architecture that a pool wants."""
TRIES = 10_000
"""Draws in a row without a new architecture, after which a space counts as used up."""


def propose(
    problem: Problem[Any],
    pool: Pool,
    evaluated: Evaluated,
    score: Score,
    rule: Acquisition,
    rng: np.random.Generator,
    prior: FloatArray | None = None,
) -> Sequence[Any]:
    """Architectures to score; `size` different ones that are not trained yet, or with `all` the whole space.

    `prior` [F, O] are the probabilities of the π that the kind `prior` draws from.

    Raises:
        BenchmarkError: the space has fewer architectures than the pool, or cannot be listed.
    """
    if pool.size is None:
        if problem.everything is None:
            raise BenchmarkError(f"{problem.name}: too large to be scored whole; choose a pool with a size")
        return problem.everything
    if pool.kind == "evolution":
        return evolution(problem, pool.size, evaluated, score, rule, rng)
    near = smart(problem, pool.size, evaluated, rng) if pool.kind == "smart" else []
    if pool.kind == "prior":
        assert isinstance(problem, FactoredProblem)
        assert prior is not None
        near = likely(problem, pool.size, evaluated, prior, rng)
    return filled(problem, near, pool.size, evaluated, rng)


def likely(
    problem: FactoredProblem[Any], size: int, evaluated: Evaluated, prior: FloatArray, rng: np.random.Generator
) -> list[Any]:
    """Different draws from π, at most `size`; fewer where π is so sure that many draws bring too few."""
    uniform = rng.random((DRAWS * size, len(problem.choices)))
    above = prior.cumsum(axis=1)[None] <= uniform[:, :, None]
    # Rounding may leave the sum of a factor below one.
    indices = np.minimum(above.sum(axis=2), np.array(problem.choices) - 1)
    return _new((problem.of_choices(each) for each in indices), evaluated)[:size]


def best(evaluated: Evaluated, count: int) -> list[Any]:
    """The best trained so far, best first; the earlier one of two equals first."""
    return sorted(evaluated, key=lambda architecture: -evaluated[architecture])[:count]


def smart(problem: Problem[Any], size: int, evaluated: Evaluated, rng: np.random.Generator) -> list[Any]:
    """Architectures one and two edits from the best so far, less the share that is left to uniform draws.

    Mauch et al.'s own rule is not known; locality is what mutation-based acquisition (BANANAS, NPENAS) relies on.
    """
    edits, parents = size - round(EXPLORING * size), best(evaluated, PARENTS)
    once = _new((other for parent in parents for other in problem.neighbours(parent)), evaluated)
    rng.shuffle(once)
    once = once[: edits - round(TWICE * edits)]
    chosen = dict.fromkeys(once)
    for _ in range(TRIES):
        if len(chosen) == edits:
            break
        child = _edited(problem, _edited(problem, parents[int(rng.integers(len(parents)))], rng), rng)
        if child not in evaluated:
            chosen[child] = None
    return list(chosen)


def evolution(
    problem: Problem[Any], size: int, evaluated: Evaluated, score: Score, rule: Acquisition, rng: np.random.Generator
) -> list[Any]:
    """Generations of edits: parents are the best trained, then those of all scored that the predictor likes best."""
    scored: list[Any] = []
    parents = best(evaluated, PARENTS)
    for generation in range(GENERATIONS):
        # The pool grows by equal shares; parents are the best of all architectures scored so far.
        aim = size * (generation + 1) // GENERATIONS
        known = {**evaluated, **dict.fromkeys(scored)}
        around = _new((other for parent in parents for other in problem.neighbours(parent)), known)
        rng.shuffle(around)
        scored = filled(problem, [*scored, *around][:aim], aim, evaluated, rng)
        parents = [scored[index] for index in pick(score(scored), PARENTS, rule, rng)] if scored else parents
    return scored


def filled(
    problem: Problem[Any], proposed: Sequence[Any], size: int, evaluated: Evaluated, rng: np.random.Generator
) -> list[Any]:
    """The proposed architectures, and uniform draws up to `size` different ones that are not trained.

    Raises:
        BenchmarkError: the space has fewer than `size`.
    """
    chosen, idle = dict.fromkeys(proposed), 0
    while len(chosen) < size:
        drawn = problem.draw(size - len(chosen), rng)
        before = len(chosen)
        chosen |= {each: None for each in drawn if each not in evaluated}
        idle = idle + 1 if len(chosen) == before else 0
        if idle > TRIES:
            raise BenchmarkError(f"{problem.name}: has too few architectures for a pool of {size}; give a smaller size")
    return list(chosen)


def _new(items: Iterable[Any], known: Mapping[Any, Any]) -> list[Any]:
    """The different items that are not among the known, in their order, which a set would lose."""
    return [each for each in dict.fromkeys(items) if each not in known]


def _edited(problem: Problem[A], architecture: A, rng: np.random.Generator) -> A:
    around = problem.neighbours(architecture)
    return around[int(rng.integers(len(around)))] if len(around) else architecture


KINDS = (*PRIMITIVES, "input 0", "input 1", "output")
INPUTS = 2
EDGES = NODES * SLOTS
VERTICES = INPUTS + EDGES + 1
"""Of a cell: its two inputs, the primitives on its edges, and its output."""


class Darts:
    """Canonical genotypes, and the number that stands for their accuracy; `worth` gives it and is asked once for each.

    `reached` are the numbers of a uniform sample [N], which stands for the space where random search is counted.
    """

    name = "darts"
    everything: Sequence[Genotype] | None = None
    choices: Sequence[int] = tuple(len(factor.choices) for factor in DARTS.factors("separate"))

    def __init__(self, worth: Callable[[Genotype], float], reached: FloatArray) -> None:
        self.reached = reached
        self._worth = functools.cache(worth)

    def draw(self, count: int, rng: np.random.Generator) -> list[Genotype]:
        """See `Problem.draw`."""
        return [darts.draw(rng).canonical() for _ in range(count)]

    def neighbours(self, architecture: Genotype) -> list[Genotype]:
        """Those that differ in one primitive or one input."""
        return darts.neighbours(architecture)

    def of_choices(self, indices: Sequence[int]) -> Genotype:
        """The architecture with these inputs and primitives."""
        decoded: Genotype = DARTS.decode([int(index) for index in indices], "separate")
        return decoded.canonical()

    def accuracy(self, architecture: Genotype) -> float:
        """The score, in the unit of the score."""
        return self._worth(architecture)

    def graphs(self, architectures: Sequence[Genotype]) -> Graphs:
        """Two cells of 11 vertices that no edge joins; a kind in the normal cell is another than in the reduction."""
        adjacency = np.zeros((len(architectures), len(CELLS) * VERTICES, len(CELLS) * VERTICES), np.float32)
        features = np.zeros((len(architectures), len(CELLS) * VERTICES, len(CELLS) * len(KINDS)), np.float32)
        for row, cells in enumerate(architectures):
            for i, cell in enumerate(cells):
                here = slice(i * VERTICES, (i + 1) * VERTICES)
                kinds = features[row, here, i * len(KINDS) : (i + 1) * len(KINDS)]
                _fill(adjacency[row, here, here], kinds, cell)
        return Graphs(adjacency, features)


def _fill(adjacency: NDArray[np.float32], kinds: NDArray[np.float32], cell: Cell) -> None:
    kinds[range(INPUTS), [KINDS.index("input 0"), KINDS.index("input 1")]] = 1
    kinds[-1, KINDS.index("output")] = 1
    for vertex, edge in enumerate((edge for node in cell for edge in node), INPUTS):
        kinds[vertex, KINDS.index(edge.primitive)] = 1
        # A primitive reads an input of the cell, or both primitives of the node that its edge comes from.
        first = INPUTS + (edge.input - INPUTS) * SLOTS
        read = [edge.input] if edge.input < INPUTS else list(range(first, first + SLOTS))
        adjacency[read, vertex] = 1
        adjacency[vertex, -1] = 1
