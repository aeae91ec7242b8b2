"""`scores.parquet`: one row an architecture, and where the scores come from."""

import json
from collections.abc import Mapping, Sequence
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
        pa.field("architecture", pa.string(), nullable=False),
        pa.field("index", pa.int32(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)
"""`score` is null where `status` is `failed`, and `reason` where it is `scored`."""


ABLATION_FIELDS = pa.schema(
    [pa.field("condition", pa.string(), nullable=False), pa.field("repeat", pa.int32(), nullable=False), *FIELDS]
)
"""Of `ablation.parquet`: further the condition and the repeat of it."""


def write_scores(
    path: Path, rows: Sequence[Mapping[str, Any]], about: Mapping[str, Any], fields: pa.Schema = FIELDS
) -> None:
    """Write the rows, whole or not at all; `about` becomes the metadata `about`, as JSON.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    metadata = {"schema": SCHEMA_VERSION, "about": json.dumps(about, sort_keys=True, allow_nan=False)}
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=fields.with_metadata(metadata))
    with temporary_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def read_scores(path: Path, fields: pa.Schema = FIELDS) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Rows and `about` of a `scores.parquet`.

    Raises:
        UserError: missing, damaged, or another table.
    """
    remedy = "run `python -m parsec score` to make it"
    try:
        table = pq.read_table(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: missing, or no intact Parquet file; {remedy}") from error
    metadata = table.schema.metadata or {}
    if not table.schema.equals(fields) or metadata.get(b"schema") != SCHEMA_VERSION.encode():
        raise UserError(f"{path}: not a table of scores of version {SCHEMA_VERSION}; {remedy}")
    return table.to_pandas(), json.loads(metadata[b"about"])
