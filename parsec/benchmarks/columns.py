"""Columns of a table of accuracies, read and checked; the same for every tabular benchmark."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from parsec.errors import BenchmarkError

Reals = NDArray[np.float64]


class Kind(NamedTuple):
    """What errors say about a benchmark."""

    name: str
    remedy: str
    """What the table must hold, and where to get it."""


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


def percentages(path: Path, name: str, values: Reals, kind: Kind) -> Reals:
    """The values, protected against change.

    Raises:
        BenchmarkError: not numbers from 0 to 100.
    """
    if values.dtype != np.float64 or not ((values >= 0) & (values <= 100)).all():
        raise BenchmarkError(f"{path}: {name} does not hold percentages from 0 to 100; {kind.remedy}")
    values.setflags(write=False)
    return values
