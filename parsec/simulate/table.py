"""`simulations.parquet`: every new best of every repeat, and where it comes from."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from parsec.errors import UserError
from parsec.runtime.files import temporary_path

SCHEMA_VERSION = "1"
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


def write_simulations(path: Path, rows: pd.DataFrame, about: Mapping[str, Any]) -> None:
    """Write the rows, whole or not at all; `about` becomes the metadata `about`, as JSON.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    metadata = {"schema": SCHEMA_VERSION, "about": json.dumps(about, sort_keys=True, allow_nan=False)}
    table = pa.Table.from_pandas(rows, schema=FIELDS, preserve_index=False).replace_schema_metadata(metadata)
    with temporary_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def read_simulations(path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of a `simulations.parquet`.

    Raises:
        UserError: missing, damaged, or another table.
    """
    remedy = "run `python -m parsec simulate` to make it"
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: missing, or no intact Parquet file; {remedy}") from error
    metadata = table.schema.metadata or {}
    if not table.schema.equals(FIELDS) or metadata.get(b"schema") != SCHEMA_VERSION.encode():
        raise UserError(f"{path}: not a table of simulated searches of version {SCHEMA_VERSION}; {remedy}")
    return table.to_pandas(), json.loads(metadata[b"about"])
