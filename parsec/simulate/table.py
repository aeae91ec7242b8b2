"""`simulations.parquet`: every new best of every repeat, and where it comes from."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from parsec.records.rows import RowsFile

FIELDS = pa.schema(
    [
        pa.field("method", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("trained", pa.int32(), nullable=False),
        pa.field("architecture", pa.int32(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
        pa.field("seconds", pa.float64()),
    ]
)
"""`accuracy` is what the search saw, in percent; `architecture` is the number in the benchmark's table; `seconds` is
null where the table has no times."""
FILE = RowsFile(FIELDS, "simulated searches", "simulate")


def write_simulations(path: Path, rows: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Write the rows, whole or not at all; see `RowsFile`."""
    FILE.write(path, pa.Table.from_pandas(rows, schema=FIELDS, preserve_index=False), about)


def read_simulations(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of a `simulations.parquet`; see `RowsFile`."""
    return FILE.read(path)
