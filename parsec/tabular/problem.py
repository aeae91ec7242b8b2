"""A tabular benchmark as a search sees it: architectures, neighbours and validation accuracies."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parsec.errors import BenchmarkError

FloatArray = NDArray[np.float64]


class Kind(NamedTuple):
    """Name and remedy of a benchmark, for error messages."""

    name: str
    remedy: str
    """Content that the table must have, and its source."""


def read_columns(path: Path, columns: Sequence[str], kind: Kind, optional: Sequence[str] = ()) -> pa.Table:
    """Some columns of a Parquet file; no others are read. Of the `optional` ones those that there are.

    Raises:
        BenchmarkError: the file is missing, damaged or lacks a column.
    """
    try:
        names = pq.read_schema(path).names
        missing = [name for name in columns if name not in names]
        if missing:
            raise BenchmarkError(f"{path}: not a table of {kind.name}: it lacks {', '.join(missing)}; {kind.remedy}")
        return pq.read_table(path, columns=[*columns, *(name for name in optional if name in names)])
    except FileNotFoundError as error:
        raise BenchmarkError(f"{path}: no such file; {kind.remedy}") from error
    except (pa.ArrowException, OSError) as error:
        raise BenchmarkError(f"{path}: truncated or not a Parquet file; {kind.remedy}") from error


def percentages(path: Path, name: str, values: FloatArray, kind: Kind) -> FloatArray:
    """The values, protected against change.

    Raises:
        BenchmarkError: not numbers from 0 to 100.
    """
    if values.dtype != np.float64 or not ((values >= 0) & (values <= 100)).all():
        raise BenchmarkError(f"{path}: {name} does not hold percentages from 0 to 100; {kind.remedy}")
    values.setflags(write=False)
    return values


A = TypeVar("A")
"""An architecture: hashable, and for a table its row."""


class Graphs(NamedTuple):
    """Architectures as graphs for a predictor: n architectures, V vertices padded with empty ones, F features."""

    adjacency: NDArray[np.float32]
    """[n, V, V]: 1 where an edge leads from the first vertex to the second."""
    features: NDArray[np.float32]
    """[n, V, F]: the operation of a vertex, one-hot; all zero where there is no vertex."""


class Problem(Protocol[A]):
    """A search space and the one accuracy per architecture that a search may ask for; no test accuracy is in it."""

    name: str
    everything: Sequence[A] | None
    """All architectures, if they can be listed."""

    def draw(self, count: int, rng: np.random.Generator) -> list[A]:
        """So many architectures from the uniform distribution, with replacement."""

    def neighbours(self, architecture: A) -> Sequence[A]:
        """The architectures one edit away."""

    def accuracy(self, architecture: A) -> float:
        """Validation accuracy in percent (or what stands in its place), the outcome of one training."""

    def graphs(self, architectures: Sequence[A]) -> Graphs:
        """The architectures as graphs."""


@runtime_checkable
class FactoredProblem(Problem[A], Protocol[A]):
    """A problem whose architectures are tuples of independent choices."""

    choices: Sequence[int]
    """Number of choices of every factor."""

    def of_choices(self, indices: Sequence[int]) -> A:
        """The architecture with these choices, one per factor."""
