"""`ablation.parquet`: one row a condition, repeat and network, and where the scores come from."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from parsec.records.rows import RowsFile
from parsec.scores.table import FIELDS as SCORE_FIELDS

FIELDS = pa.schema(
    [pa.field("condition", pa.string(), nullable=False), pa.field("repeat", pa.int32(), nullable=False), *SCORE_FIELDS]
)
FILE = RowsFile(FIELDS, "ablated scores", "ablate")


def write_ablation(path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
    """Write the rows, whole or not at all; see `RowsFile`."""
    FILE.write(path, pa.Table.from_pylist([dict(row) for row in rows], schema=FIELDS), about)


def read_ablation(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of an `ablation.parquet`; see `RowsFile`."""
    return FILE.read(path)
