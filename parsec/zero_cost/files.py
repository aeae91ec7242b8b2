"""The Parquet files of scores, score ablations and kernel matrices."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from parsec.records.parquet import RowsFile

SCORE_FIELDS = pa.schema(
    [
        pa.field("architecture", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)
"""`score` is null where `status` is `failed`, and `reason` where it is `scored`."""
SCORES = RowsFile(SCORE_FIELDS, "scores", "score")


def write_scores(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows, whole or not at all; see `RowsFile`."""
    SCORES.write(path, pa.Table.from_pylist([dict(row) for row in rows], schema=SCORE_FIELDS), about)


def read_scores(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of a `scores.parquet`; see `RowsFile`."""
    return SCORES.read(path)


ABLATION_FIELDS = pa.schema(
    [pa.field("condition", pa.string(), nullable=False), pa.field("repeat", pa.int32(), nullable=False), *SCORE_FIELDS]
)
ABLATION = RowsFile(ABLATION_FIELDS, "ablated scores", "ablate")


def write_ablation(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows, whole or not at all; see `RowsFile`."""
    ABLATION.write(path, pa.Table.from_pylist([dict(row) for row in rows], schema=ABLATION_FIELDS), about)


def read_ablation(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of an `ablation.parquet`; see `RowsFile`."""
    return ABLATION.read(path)


KERNEL_FIELDS = pa.schema(
    [
        pa.field("low", pa.float64(), nullable=False),
        pa.field("high", pa.float64(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("kernel", pa.list_(pa.float32()), nullable=False),
    ]
)
"""Ends of the bin and accuracy in percent; the kernel [N, N] row by row, its diagonal 1."""
KERNELS = RowsFile(KERNEL_FIELDS, "kernels", "kernels")
