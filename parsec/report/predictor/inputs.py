"""Runs of searches with a predictor beside the benchmarks that they searched."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.predictor.gain import Interval, Quality, needed, qualities
from parsec.predictor.problem import open_problem
from parsec.predictor.table import read_run
from parsec.settings.predictor import PredictorJob

Reals = NDArray[np.float64]
RANDOM = "random search, exact"


class Study(NamedTuple):
    """One run: what its searches trained, and the space that they searched."""

    job: PredictorJob
    benchmark: Path
    architectures: Mapping[str, NDArray[np.int64]]
    """Pool → numbers of the trained architectures in order [R, B]."""
    accuracies: Reals
    """Validation accuracy of the whole space in percent [N]."""

    @property
    def title(self) -> str:
        """Benchmark and data set, as a heading."""
        return f"{self.job.problem}, {self.job.data}"

    @property
    def qualities(self) -> list[Quality]:
        """What the searches have to find."""
        return qualities(self.accuracies)

    def trained(self, pool: str) -> Reals:
        """Validation accuracies in the order of training [R, B]."""
        return self.accuracies[self.architectures[pool]]

    def times(self, pool: str, quality: Quality) -> Reals:
        """Trained architectures until the quality [R]; infinite where the budget did not do."""
        return needed(self.trained(pool), quality)


def read_studies(inputs: Sequence[Path]) -> list[Study]:
    """Studies from pairs: a run's folder, then the benchmark's file.

    Raises:
        UserError: an odd number of inputs, a damaged file, or another benchmark than the one searched.
    """
    if len(inputs) % 2:
        raise UserError("predictor: give the folder of each run followed by the file of the benchmark it searched")
    return [_study(folder, benchmark) for folder, benchmark in zip(inputs[::2], inputs[1::2], strict=True)]


def _study(folder: Path, benchmark: Path) -> Study:
    job, rows = read_run(folder)
    accuracies = np.asarray(open_problem(job, benchmark).reached)
    known = rows["architecture"].between(0, len(accuracies) - 1).all()
    if not known or not np.array_equal(accuracies[rows["architecture"]], rows["accuracy"]):
        raise UserError(f"{benchmark}: not the table that {folder} searched; give that one")
    shape = (job.repeats, job.budget)
    groups = rows.sort_values(["repeat", "order"]).groupby("pool", sort=False)["architecture"]
    found = {pool: values.to_numpy().reshape(shape) for pool, values in groups}
    return Study(job, benchmark, {pool.name: found[pool.name] for pool in job.pools}, accuracies)


def bracketed(found: Interval, digits: int) -> str:
    """`3.1 [2.9, 3.3]`."""
    value, low, high = (f"{number:z.{digits}f}".replace("-", "−") for number in found)
    return f"{value} [{low}, {high}]"
