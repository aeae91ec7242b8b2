"""Parquet files that stages exchange: checked columns, and the origin of the rows as metadata."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from parsec.errors import UserError
from parsec.runtime.files import temporary_path


class RowsFile(NamedTuple):
    """A kind of Parquet file."""

    fields: pa.Schema
    what: str
    """Name of its rows, for messages."""
    verb: str
    """Command that writes it."""
    version: str = "1"

    def write(self, path: Path, rows: Sequence[Mapping[str, Any]], origin: Mapping[str, Any]) -> None:
        """Write the rows, whole or not at all; `origin` becomes the metadata `about`, as JSON.

        Raises:
            UserError: no space is left, or the folder cannot be written to.
        """
        table = pa.Table.from_pylist([dict(row) for row in rows], schema=self.fields)
        metadata = {"schema": self.version, "about": json.dumps(origin, sort_keys=True, allow_nan=False)}
        with temporary_path(path) as temporary:
            pq.write_table(table.replace_schema_metadata(metadata), temporary, write_page_checksum=True)

    def read(self, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Rows and origin of a file.

        Raises:
            UserError: missing, damaged, or another table.
        """
        remedy = f"run `parsec {self.verb}` to make it"
        try:
            table = pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise UserError(f"{path}: missing, or no intact Parquet file; {remedy}") from error
        metadata = table.schema.metadata or {}
        if not table.schema.equals(self.fields) or metadata.get(b"schema") != self.version.encode():
            raise UserError(f"{path}: not a table of {self.what} of version {self.version}; {remedy}")
        return table.to_pandas(), json.loads(metadata[b"about"])


def required(**types: pa.DataType) -> list[pa.Field]:
    """Columns that hold a value in every row."""
    return [pa.field(name, kind, nullable=False) for name, kind in types.items()]


SCORE_FIELDS = pa.schema(
    [
        *required(architecture=pa.string(), index=pa.int32()),
        pa.field("score", pa.float64()),
        *required(status=pa.string()),
        pa.field("reason", pa.string()),
        *required(seconds=pa.float64()),
    ]
)
"""`score` is null where `status` is `failed`, and `reason` where it is `scored`."""
SCORES_FILE = RowsFile(SCORE_FIELDS, "scores", "score")

ABLATION_FIELDS = pa.schema([*required(condition=pa.string(), repeat=pa.int32()), *SCORE_FIELDS])
ABLATION_FILE = RowsFile(ABLATION_FIELDS, "ablated scores", "ablate")

KERNEL_FIELDS = pa.schema(
    required(
        low=pa.float64(), high=pa.float64(), index=pa.int32(), accuracy=pa.float64(), kernel=pa.list_(pa.float32())
    )
)
"""Ends of the bin and accuracy in percent; the kernel [N, N] row by row, its diagonal 1."""
KERNELS_FILE = RowsFile(KERNEL_FIELDS, "kernels", "kernels")

PROPOSAL_FIELDS = pa.schema(
    required(
        prior=pa.string(),
        entropy=pa.float64(),
        images=pa.int32(),
        trained=pa.int32(),
        beta=pa.float64(),
        defence=pa.float64(),
        samples=pa.int32(),
        repeat=pa.int32(),
        share=pa.float64(),
        limit=pa.float64(),
        error=pa.float64(),
    )
)
"""`share`: effective sample size / K; `limit`: the same as K grows, exactly; `error`: squared distance of the
estimated gradient of log p(y|π) with respect to the logits from the exact one. `entropy` is that of π in nats."""
PROPOSALS_FILE = RowsFile(PROPOSAL_FIELDS, "proposals", "propose")
