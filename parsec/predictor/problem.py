"""The problem of a job, and what stands for its space."""

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parsec.benchmarks import nasbench101, nasbench201
from parsec.benchmarks.darts_problem import Darts
from parsec.benchmarks.nasbench101_problem import NasBench101
from parsec.benchmarks.nasbench201_problem import NasBench201
from parsec.errors import UserError
from parsec.settings.predictor import AnyPredictorJob, DartsPredictorJob

Reals = NDArray[np.float64]
Searched = NasBench101 | NasBench201 | Darts


def open_problem(job: AnyPredictorJob, benchmark: Path, data: Path | None = None) -> Searched:
    """The problem of a job, with the columns of its table that a search may see; `data` is read for darts alone.

    Raises:
        BenchmarkError: the table is missing, damaged or another one.
        UserError: darts without its scores or their data set.
    """
    if isinstance(job, DartsPredictorJob):
        from parsec.scores.on_demand import read_sample, scorer

        if data is None:
            raise UserError("predictor: the problem darts needs --data, the folder of the data set it is scored on")
        return Darts(scorer(benchmark, data), read_sample(benchmark)[0])
    if job.problem == "nasbench101":
        return NasBench101(nasbench101.read_search_columns(benchmark))
    return NasBench201(nasbench201.read_search_columns(benchmark), job.data)


def read_reached(job: AnyPredictorJob, benchmark: Path) -> Reals:
    """What the architectures of the space reach: of a table all of them, of darts a uniform sample.

    Raises:
        UserError: see `open_problem`.
    """
    if isinstance(job, DartsPredictorJob):
        from parsec.scores.on_demand import read_sample

        return read_sample(benchmark)[0]
    return np.asarray(open_problem(job, benchmark).reached, np.float64)


def content_hash(reached: Reals) -> str:
    """SHA-256 over what stands for a space, in order."""
    return hashlib.sha256(reached.tobytes()).hexdigest()


def check_size(job: AnyPredictorJob, problem: Searched) -> None:
    """Whether the space has as many architectures as the last round needs.

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
