"""`scores.parquet`: one row an architecture, and where the scores come from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from parsec.records.rows import RowsFile

FIELDS = pa.schema(
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
FILE = RowsFile(FIELDS, "scores", "score")


def write_scores(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows, whole or not at all; see `RowsFile`."""
    FILE.write(path, pa.Table.from_pylist([dict(row) for row in rows], schema=FIELDS), about)


def read_scores(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of a `scores.parquet`; see `RowsFile`."""
    return FILE.read(path)
