"""Simulated searches: random search, evolution and REINFORCE, repeated many times on a tabular benchmark."""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

from parsec.config.base import fingerprint, seed_of
from parsec.config.tabular import AssistedEvolution, Evolution, Reinforce, Simulated, SimulateJob
from parsec.errors import SettingsError, UserError
from parsec.records.parquet import SCORES_FILE, RowsFile
from parsec.records.provenance import provenance, start_provenance
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_run_folder, mark_folder
from parsec.tabular import nasbench101, nasbench201
from parsec.tabular.nasbench101 import NasBench101
from parsec.tabular.nasbench201 import NasBench201
from parsec.tabular.problem import A, FactoredProblem, FloatArray, Problem

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
    costs: FloatArray | None
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
        indices = (policy.cumsum(axis=1) < rng.random((factors, 1))).sum(axis=1).clip(max=choices - 1)
        accuracy = yield problem.of_choices([int(choice) for choice in indices])
        total = settings.momentum * total + (1 - settings.momentum) * accuracy
        weight = settings.momentum * weight + (1 - settings.momentum)
        logits.ascend((accuracy - total / weight) * (np.eye(choices)[indices] - policy))


FIELDS = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("trained", pa.int32(), nullable=False),
        pa.field("architecture", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64()),
    ]
)
"""`accuracy` is what the search saw, in percent; `architecture` is the number in the benchmark's table; `seconds` is
null where the table has no times."""
SIMULATIONS_FILE = RowsFile(FIELDS, "simulated searches", "simulate")


Start = Callable[[np.random.Generator], Search[int]]
SHORT_TRAINING = 12 / 108
"""Share of a full training on NAS-Bench-101 that one evaluation of a search costs, as NASWOT's authors count."""


def simulate(job: SimulateJob, benchmark: Path, scores: Path | None, seed: int, output: Path) -> None:
    """Simulate the searches on the table `benchmark` and write `simulations.parquet` into `output`.

    No test accuracy is read. `scores` is the `scores.parquet` that assisted evolution begins with.

    Raises:
        UserError: a mistake that the user can fix; see its subclasses.
    """
    run_start = start_provenance("parsec.tabular.simulate")
    run = f"simulate {job.space} {job.dataset}/seed{seed} (settings {fingerprint(job)})"
    check_run_folder(output, "simulate", run, ["simulations.parquet"])
    problem, costs = _problem(job, benchmark)
    if job.seconds is not None and (costs is None or np.isnan(costs).any()):
        # The limit would never be reached once a time is missing from the sum.
        lacks = "has no times" if costs is None else "has no times of some architectures"
        raise SettingsError(f"seconds: {benchmark} {lacks}; leave the key out, or import a table with them")
    budget = Budget(job.budget, job.seconds, costs)
    rows = []
    for name, start in _starts(job, problem, scores).items():
        logger.info("simulate %s: %d repeats of up to %d trainings", name, job.repeats, job.budget)
        rows += [{"method": name, **row} for row in _repeats(job, name, start, problem, budget, seed)]
    origin = {"seed": seed, "provenance": provenance(job, run_start, None)}
    mark_folder(output, "simulate", run=run)
    SIMULATIONS_FILE.write(output / "simulations.parquet", rows, origin)


def _problem(job: SimulateJob, path: Path) -> tuple[Problem[int], FloatArray | None]:
    """The problem, and seconds of one training by number of the architecture if the table has them."""
    if job.space == "nasbench201":
        times = nasbench201.read_seconds(path) or {}
        return NasBench201(nasbench201.read_search_columns(path), job.dataset), times.get(job.dataset)
    if job.dataset != "cifar10":
        raise SettingsError(f"dataset: got {job.dataset}; nasbench101 has only cifar10")
    problem = NasBench101(nasbench101.read_search_columns(path))
    return problem, None if problem.seconds is None else problem.seconds * SHORT_TRAINING


def _starts(job: SimulateJob, problem: Problem[int], scores: Path | None) -> dict[Simulated, Start]:
    """How each method begins a repeat."""
    known = _scores(job, scores) if "assisted_evolution" in job.methods else {}
    if "reinforce" in job.methods and not isinstance(problem, FactoredProblem):
        raise SettingsError(f"methods: reinforce needs a space of factors, which {job.space} is not; leave it out")
    starts: dict[Simulated, Start] = {
        "random": lambda rng: random_search(problem, rng),
        "evolution": lambda rng: evolution(problem, job.evolution, rng),
        "assisted_evolution": lambda rng: assisted_evolution(problem, job.assisted_evolution, known, rng),
        "reinforce": lambda rng: reinforce(problem, job.reinforce, rng),  # type: ignore[arg-type]
    }
    return {name: starts[name] for name in job.methods}


def _scores(job: SimulateJob, path: Path | None) -> Mapping[int, float]:
    """Scores by the number of the architecture; −∞ for a failed one."""
    if path is None:
        raise UserError("simulate: assisted_evolution begins with scores; give --scores, or leave it out of methods")
    rows, origin = SCORES_FILE.read(path)
    space = origin["provenance"]["settings"]["space"]
    if space != job.space:
        raise UserError(f"{path}: scores of {space}, but the settings want {job.space}; give scores of {job.space}")
    if job.space == "nasbench101" and "table" not in origin:
        raise UserError(f"{path}: scores of drawn cells; give scores of the table's: `score --benchmark`")
    return dict(zip(rows["index"].tolist(), rows["score"].fillna(-np.inf).tolist(), strict=True))


def _repeats(
    job: SimulateJob, name: Simulated, start: Start, problem: Problem[int], budget: Budget, seed: int
) -> Iterator[dict[str, float | None]]:
    for repeat in range(job.repeats):
        rng = np.random.default_rng(seed_of(seed, "simulate", name, repeat))
        kept = follow(start(rng), problem, budget)
        if not kept:
            raise SettingsError(f"seconds: got {budget.seconds}; no training ends within it; give more")
        for better in kept:
            yield {"repeat": repeat, **better._asdict()}
