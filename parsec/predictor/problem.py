"""The problem of a job; no torch."""

import hashlib
from pathlib import Path

from parsec.benchmarks import nasbench101, nasbench201
from parsec.benchmarks.nasbench101_problem import NasBench101
from parsec.benchmarks.nasbench201_problem import NasBench201
from parsec.errors import UserError
from parsec.settings.predictor import PredictorJob

TabularProblem = NasBench101 | NasBench201


def open_problem(job: PredictorJob, benchmark: Path) -> TabularProblem:
    """The problem of a job, with the columns of its table that a search may see.

    Raises:
        BenchmarkError: the table is missing, damaged or another one.
    """
    if job.problem == "nasbench101":
        return NasBench101(nasbench101.read_search_columns(benchmark))
    return NasBench201(nasbench201.read_search_columns(benchmark), job.data)


def content_hash(problem: TabularProblem) -> str:
    """SHA-256 over what the searches see of a table: its validation accuracies in order."""
    return hashlib.sha256(problem.reached.tobytes()).hexdigest()


def check_size(job: PredictorJob, problem: TabularProblem) -> None:
    """Whether the space has as many architectures as the last round needs.

    Raises:
        UserError: it has fewer.
    """
    there = len(problem.everything or ())
    largest = max(pool.size or job.per_round for pool in job.pools)
    if there < job.budget + largest:
        raise UserError(
            f"predictor: {problem.name} has {there} architectures, fewer than the {job.budget} to be trained and a pool"
            f" of {largest}; give fewer rounds or a smaller pool"
        )
