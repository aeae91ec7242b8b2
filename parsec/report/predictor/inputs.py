"""Runs of searches with a predictor beside the benchmarks that they searched."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.predictor.gain import SHARES, Interval, Quality, needed, qualities
from parsec.predictor.problem import content_hash, read_reached
from parsec.predictor.table import read_run
from parsec.settings.predictor import AnyPredictorJob, PredictorJob

Reals = NDArray[np.float64]
RANDOM = "random search, exact"


class Study(NamedTuple):
    """One run: what its searches trained, and the space that they searched."""

    job: AnyPredictorJob
    benchmark: Path
    architectures: Mapping[str, NDArray[Any]]
    """Pool → the trained architectures in order [R, B], as `trained.parquet` names them."""
    reached: Mapping[str, Reals]
    """Pool → what they reached, in the same order."""
    accuracies: Reals
    """Validation accuracy of the whole space in percent [N]; of darts the scores of a uniform sample."""

    @property
    def tabular(self) -> bool:
        """Whether there is a table of the whole space."""
        return isinstance(self.job, PredictorJob)

    @property
    def title(self) -> str:
        """Benchmark and data set, or space and score, as a heading."""
        return f"{self.job.problem}, {'' if self.tabular else 'score '}{self.job.target}"

    @property
    def qualities(self) -> list[Quality]:
        """What the searches have to find; the best of a sample is no quality of a space."""
        return qualities(self.accuracies)[: None if self.tabular else len(SHARES)]

    def trained(self, pool: str) -> Reals:
        """Validation accuracies, or scores, in the order of training [R, B]."""
        return self.reached[pool]

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
    job, rows, seen = read_run(folder)
    accuracies = read_reached(job, benchmark)
    if content_hash(accuracies) != seen:
        raise UserError(f"{benchmark}: not what {folder} searched; give that file")
    groups = dict(list(rows.sort_values(["repeat", "order"]).groupby("pool")))
    named, reached = (
        {pool.name: groups[pool.name][column].to_numpy().reshape(job.repeats, job.budget) for pool in job.pools}
        for column in ("architecture", "accuracy")
    )
    return Study(job, benchmark, named, reached, accuracies)


def bracketed(found: Interval, digits: int) -> str:
    """`3.1 [2.9, 3.3]`."""
    value, low, high = (f"{number:z.{digits}f}".replace("-", "−") for number in found)
    return f"{value} [{low}, {high}]"
