"""The stage `predictor`: from a tabular benchmark, or scores of the DARTS space, to `trained.parquet` and its page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from parsec.predictor.loop import Searches
from parsec.predictor.priors import read_marginals
from parsec.predictor.problem import Reals, Searched, check_size, content_hash, open_problem
from parsec.predictor.table import write_trained
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost, write_json
from parsec.runtime import finished, loop
from parsec.runtime.device import set_deterministic
from parsec.runtime.store import read_metrics
from parsec.settings.jobs import fingerprint
from parsec.settings.predictor import AnyPredictorJob, Pool
from parsec.settings.tree import Running
from parsec.space.genotype import Genotype

SCHEMA = 1


class Sources(NamedTuple):
    """What searches read."""

    benchmark: Path
    """The table; for darts the `scores.parquet` whose conditions and sample are used."""
    data: Path | None = None
    """For darts the data set of the scores."""
    pi: Path | None = None
    """The `pi.parquet` that a pool of the kind `prior` draws from."""


def search_repeatedly(
    job: AnyPredictorJob, sources: Sources, seed: int, output: Path, state: Path, running: Running
) -> None:
    """Search with every pool and write `trained.parquet` and `predictor.json` into `output`; on the CPU.

    `state` keeps the run resumable by blocks of repeats until then. No test accuracy is read.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.predictor.run")
    run = f"predictor {job.problem} {job.target}/seed{seed}"
    places = finished.Places(state, output, ("trained.parquet", "predictor.json"), run)
    places.check(data=sources.data)
    set_deterministic(True)
    problem = open_problem(job, sources.benchmark, sources.data)
    check_size(job, problem)
    prior = read_marginals(job, sources.pi)
    task, device = Blocks(job, seed, problem, prior), torch.device("cpu")
    seen, drawn_from = content_hash(problem.reached), None if prior is None else content_hash(prior)
    identity = f"{fingerprint(job)}-seed{seed}-{seen[:16]}" + (f"-{drawn_from[:16]}" if drawn_from else "")
    stands_for = {**job.model_dump(mode="json"), "seed": seed, "accuracies": seen, "pi": drawn_from}
    with finished.claimed(places, beginning.code) as ending:
        ending.begin(identity, stands_for)
        spent = loop.run(task, state, identity, running, run, device, beginning.code)
        ending.open_output()
        write_trained(output / "trained.parquet", job, read_metrics(state))
        about = {"schema": SCHEMA, "kind": "predictor", "seed": seed, "architectures": len(problem.reached)}
        about |= {"accuracies_hash": seen, "job": job.model_dump(mode="json"), "cost": cost(spent, device)}
        write_json(output / "predictor.json", {**about, "provenance": provenance(job, beginning, None)})
        ending.finish(identity)


class Blocks:
    """All blocks of repeats of all pools, one after another; see `Trainer`."""

    def __init__(self, job: AnyPredictorJob, seed: int, problem: Searched, prior: Reals | None = None) -> None:
        self._searches = Searches(problem, job, seed, prior)
        self._blocks = list(_blocks(job))
        self.step = 0

    @property
    def total_steps(self) -> int:
        """Blocks to do."""
        return len(self._blocks)

    def advance(self) -> list[dict[str, Any]]:
        """Search in one block of repeats: its rows of `trained.parquet`."""
        pool, repeats = self._blocks[self.step]
        searches = self._searches.run(pool, repeats)
        self.step += 1
        return [
            {"pool": pool.name, "repeat": repeat, "order": order, "architecture": _named(found), "accuracy": accuracy}
            for repeat, seen in zip(repeats, searches, strict=True)
            for order, (found, accuracy) in enumerate(seen.items(), 1)
        ]

    def flush(self) -> list[dict[str, Any]]:
        """Nothing: no row is kept back."""
        return []

    def check_finite(self) -> None:
        """The accuracies are those of a table that was checked when it was read."""

    def progress(self) -> str:
        """Where the searches stand, for one line."""
        pool, repeats = self._blocks[max(self.step - 1, 0)]
        return f"{self.step}/{self.total_steps} blocks, pool {pool.name}, repeats up to {repeats[-1] + 1}"

    def state_dict(self) -> dict[str, Any]:
        """How far it is; the rows are kept by the loop."""
        return {"step": self.step}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue there; every block draws from streams of its own."""
        self.step = state["step"]


def _named(found: int | Genotype) -> int | str:
    """The number in the table, or the content of `genotype.json`."""
    return json.dumps(found.as_dict(), separators=(",", ":")) if isinstance(found, Genotype) else found


def _blocks(job: AnyPredictorJob) -> Iterator[tuple[Pool, Sequence[int]]]:
    for pool in job.pools:
        for first in range(0, job.repeats, job.block):
            yield pool, range(first, min(first + job.block, job.repeats))
