"""The stage `predictor`: from a tabular benchmark to `trained.parquet` and `predictor.json`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from parsec.predictor.loop import Searches
from parsec.predictor.problem import TabularProblem, check_size, content_hash, open_problem
from parsec.predictor.table import write_trained
from parsec.records.provenance import begin, provenance
from parsec.records.results import cost, write_json
from parsec.runtime import loop
from parsec.runtime.device import set_deterministic
from parsec.settings.jobs import fingerprint
from parsec.settings.predictor import Pool, PredictorJob
from parsec.settings.tree import Running

SCHEMA = 1


def search_repeatedly(
    job: PredictorJob, benchmark: Path, seed: int, output: Path, state: Path, running: Running
) -> None:
    """Search with every pool and write `trained.parquet` and `predictor.json` into `output`; on the CPU.

    `state` keeps the run resumable by blocks of repeats until then. No test accuracy is read.

    Raises:
        UserError: anything the user can mend; see its subclasses.
    """
    beginning = begin("parsec.predictor.run")
    set_deterministic(True)
    problem = open_problem(job, benchmark)
    check_size(job, problem)
    task, device = Blocks(job, seed, problem), torch.device("cpu")
    seen = content_hash(problem)
    identity = f"{fingerprint(job)}-seed{seed}-{seen[:16]}"
    label = f"predictor {job.problem} {job.data}/seed{seed}"
    spent = loop.run(task, state, identity, running, label, device, beginning.code)
    write_trained(output / "trained.parquet", _rows(state))
    about = {"schema": SCHEMA, "kind": "predictor", "seed": seed, "architectures": len(problem.everything or ())}
    about |= {"accuracies_hash": seen, "job": job.model_dump(mode="json"), "cost": cost(spent, device)}
    write_json(output / "predictor.json", {**about, "provenance": provenance(job, beginning, None)})
    loop.finish(state)


class Blocks:
    """All blocks of repeats of all pools, one after another; see `Trainer`."""

    def __init__(self, job: PredictorJob, seed: int, problem: TabularProblem) -> None:
        self._searches = Searches(problem, job, seed)
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
            {"pool": pool.name, "repeat": repeat, "order": order, "architecture": found, "accuracy": accuracy}
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


def _blocks(job: PredictorJob) -> Iterator[tuple[Pool, Sequence[int]]]:
    for pool in job.pools:
        for first in range(0, job.repeats, job.block):
            yield pool, range(first, min(first + job.block, job.repeats))


def _rows(state: Path) -> list[dict[str, Any]]:
    lines = (state / loop.METRICS).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]
