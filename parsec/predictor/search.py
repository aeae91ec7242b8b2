"""Predictor-based search with efficient sampling (2011.12043)."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from pydantic import ValidationError

from parsec.config.base import Running, fingerprint, seed_of
from parsec.config.tabular import PREDICTOR_JOBS, AnyPredictorJob, DartsPredictorJob, Pool, PredictorJob
from parsec.errors import UserError
from parsec.predictor.candidates import Darts, Evaluated, Predictions, Score, filled, pick, propose, read_marginals
from parsec.predictor.gcn import Encoder, Fitted, fit
from parsec.records.documents import read_document
from parsec.records.parquet import required
from parsec.records.provenance import SCHEMA, write_json
from parsec.records.stage import Stage
from parsec.runtime.checkpoint import read_metrics
from parsec.runtime.files import temporary_path
from parsec.runtime.loop import RowTrainer
from parsec.runtime.rng import generator
from parsec.space.darts import Genotype
from parsec.tabular import nasbench101, nasbench201
from parsec.tabular.nasbench101 import NasBench101
from parsec.tabular.nasbench201 import NasBench201
from parsec.tabular.problem import FloatArray, Problem

Searched = NasBench101 | NasBench201 | Darts


def open_problem(job: AnyPredictorJob, benchmark: Path, data: Path | None = None) -> Searched:
    """The problem of a job, with the columns of its table that a search may see; `data` is read only for darts.

    Raises:
        BenchmarkError: the table is missing, damaged or another one.
        UserError: darts without its scores or their data set.
    """
    if isinstance(job, DartsPredictorJob):
        from parsec.zero_cost.score import read_sample, scorer

        if data is None:
            raise UserError("predictor: the problem darts needs --data, the folder of the data set it is scored on")
        return Darts(scorer(benchmark, data), read_sample(benchmark)[0])
    if job.problem == "nasbench101":
        return NasBench101(nasbench101.read_search_columns(benchmark))
    return NasBench201(nasbench201.read_search_columns(benchmark), job.data)


def read_reached(job: AnyPredictorJob, benchmark: Path) -> FloatArray:
    """Accuracies of the architectures of a table, or scores of a uniform sample of darts, [N]; as `open_problem`."""
    if isinstance(job, DartsPredictorJob):
        from parsec.zero_cost.score import read_sample

        return read_sample(benchmark)[0]
    return np.asarray(open_problem(job, benchmark).reached, np.float64)


def content_hash(reached: FloatArray) -> str:
    """SHA-256 over what stands for a space, in order."""
    return hashlib.sha256(reached.tobytes()).hexdigest()


def check_size(job: AnyPredictorJob, problem: Searched) -> None:
    """Refuse a space with fewer architectures than the last round needs.

    Raises:
        UserError: it has fewer.
    """
    if problem.everything is None:
        return
    there = len(problem.everything)
    largest = max(pool.size or job.per_round for pool in job.pools)
    if there < job.budget + largest:
        raise UserError(
            f"predictor: {problem.name} has {there} architectures, fewer than the {job.budget} to be trained and a pool"
            f" of {largest}; give fewer rounds or a smaller pool"
        )


class Blocks(RowTrainer):
    """Searches on one problem with every pool, by blocks of repeats that run together, because it is faster.

    The first architectures of a repeat depend only on seed and repeat, so that repeats are paired between pools.
    """

    def __init__(self, job: AnyPredictorJob, seed: int, problem: Problem[Any], prior: FloatArray | None = None) -> None:
        self._job, self._seed, self._problem, self._prior = job, seed, problem, prior
        self._encoder = Encoder(problem)
        firsts = range(0, job.repeats, job.block)
        blocks = [range(first, min(first + job.block, job.repeats)) for first in firsts]
        self._blocks = [(pool, repeats) for pool in job.pools for repeats in blocks]

    @property
    def total_steps(self) -> int:
        """Blocks to do."""
        return len(self._blocks)

    def advance(self) -> list[dict[str, Any]]:
        """Search in one block of repeats: its rows of `trained.parquet`."""
        pool, repeats = self._blocks[self.step]
        searches = self._search(pool, repeats)
        self.step += 1
        return [
            {
                "pool": pool.name,
                "repeat": repeat,
                "order": order,
                "architecture": _named(architecture),
                "accuracy": accuracy,
            }
            for repeat, evaluated in zip(repeats, searches, strict=True)
            for order, (architecture, accuracy) in enumerate(evaluated.items(), 1)
        ]

    def progress(self) -> str:
        """Where the searches stand, for one line."""
        pool, repeats = self._blocks[max(self.step - 1, 0)]
        return f"{self.step}/{self.total_steps} blocks, pool {pool.name}, repeats up to {repeats[-1] + 1}"

    def _search(self, pool: Pool, repeats: Sequence[int]) -> list[dict[Any, float]]:
        """For each repeat the trained architectures and their validation accuracy, in the order of training."""
        job, seed = self._job, self._seed
        searches = [self._started(repeat) for repeat in repeats]
        streams = [np.random.default_rng(seed_of(seed, "predictor", pool.name, repeat)) for repeat in repeats]
        for number in range(job.rounds):
            fitted = self._fitted(searches, [generator(seed, "weights", number, repeat) for repeat in repeats])
            for i, (evaluated, rng) in enumerate(zip(searches, streams, strict=True)):
                self._train(evaluated, self._chosen(pool, evaluated, partial(self._score, fitted, i), rng))
        return searches

    def _started(self, repeat: int) -> dict[Any, float]:
        rng = np.random.default_rng(seed_of(self._seed, "start", repeat))
        evaluated: dict[Any, float] = {}
        self._train(evaluated, filled(self._problem, [], self._job.start, {}, rng))
        return evaluated

    def _train(self, evaluated: dict[Any, float], architectures: Iterable[Any]) -> None:
        evaluated.update({each: self._problem.accuracy(each) for each in architectures})

    def _fitted(self, searches: Sequence[Evaluated], generators: Sequence[torch.Generator]) -> Fitted:
        graphs = self._encoder.together([list(evaluated) for evaluated in searches])
        reached = torch.tensor([list(evaluated.values()) for evaluated in searches], dtype=torch.float32)
        return fit(graphs, reached, self._job.predictor, generators)

    def _score(self, fitted: Fitted, repeat: int, architectures: Sequence[Any]) -> Predictions:
        predicted: NDArray[np.float32] = fitted.predict(repeat, self._encoder(architectures)).numpy()
        return predicted

    def _chosen(self, pool: Pool, evaluated: Evaluated, score: Score, rng: np.random.Generator) -> list[Any]:
        """The best of a pool that are not trained yet; uniform ones where the pool holds too few."""
        job = self._job
        proposed = propose(self._problem, pool, evaluated, score, job.acquisition, rng, self._prior)
        new = [i for i, each in enumerate(proposed) if each not in evaluated]
        taken = pick(score(proposed)[:, new], job.per_round, job.acquisition, rng)
        return filled(self._problem, [proposed[new[i]] for i in taken], job.per_round, evaluated, rng)


class Sources(NamedTuple):
    """Files that searches read."""

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
    """
    label, names = f"predictor {job.problem} {job.target}/seed{seed}", ("trained.parquet", "predictor.json")
    stage = Stage("parsec.predictor.search", job, label, output, state, names, running)
    stage.check(data=sources.data)
    problem = open_problem(job, sources.benchmark, sources.data)
    check_size(job, problem)
    prior = read_marginals(job, sources.pi)
    accuracies, pi = content_hash(problem.reached), None if prior is None else content_hash(prior)
    # A state is resumed only with the same settings, seed, accuracies and π; files may be replaced under the same name.
    identity = f"{fingerprint(job)}-seed{seed}-{accuracies[:16]}" + (f"-{pi[:16]}" if pi else "")
    with stage.hold():
        stage.restored(identity, {**job.model_dump(mode="json"), "seed": seed, "accuracies": accuracies, "pi": pi})
        stage.train(Blocks(job, seed, problem, prior))
        document = {"schema": SCHEMA, "kind": "predictor", "seed": seed, "architectures": len(problem.reached)}
        document |= {"accuracies_hash": accuracies, "job": job.model_dump(mode="json"), **stage.record(None)}
        with stage.outputs():
            write_trained(output / "trained.parquet", job, read_metrics(state))
            write_json(output / "predictor.json", document)


def _named(architecture: int | Genotype) -> int | str:
    """The number in the table, or the content of `genotype.json`."""
    if isinstance(architecture, Genotype):
        return json.dumps(architecture.as_dict(), separators=(",", ":"))
    return architecture


def fields(job: AnyPredictorJob) -> pa.Schema:
    """The columns of a job's table.

    `order` counts trained architectures from 1; `architecture` is its number in the benchmark, of darts the content of
    its `genotype.json`; `accuracy` is of validation, in percent, or the score that stands in its place.
    """
    types = {"pool": pa.string(), "repeat": pa.int32(), "order": pa.int32()}
    types |= {"architecture": pa.int64() if isinstance(job, PredictorJob) else pa.string(), "accuracy": pa.float64()}
    return pa.schema(required(**types))


class Run(NamedTuple):
    """The job of a run, and its trained architectures."""

    job: AnyPredictorJob
    trained: pd.DataFrame
    accuracies_hash: str
    """Of what stood for the space, see `content_hash`."""


def write_trained(path: Path, job: AnyPredictorJob, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, whole or not at all.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=fields(job))
    with temporary_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def read_run(folder: Path) -> Run:
    """Read the results that `parsec predictor` wrote into a folder.

    Raises:
        UserError: a file is missing, damaged or another one.
    """
    remedy = "run `parsec predictor` to make it"
    path = folder / "predictor.json"
    document = read_document(path, "predictor")
    try:
        job = PREDICTOR_JOBS[document["job"]["problem"]].model_validate_json(json.dumps(document["job"]))
        path = folder / "trained.parquet"
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, KeyError, TypeError, ValidationError, pa.ArrowException) as error:
        raise UserError(f"{path}: missing or damaged; {remedy}") from error
    if not table.schema.equals(fields(job)):
        raise UserError(f"{path}: not a table of trained architectures; {remedy}")
    return Run(job, table.to_pandas(), document["accuracies_hash"])
