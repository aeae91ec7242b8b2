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

    def write(self, path: Path, rows: pa.Table | Sequence[Mapping[str, Any]], about: Mapping[str, Any]) -> None:
        """Write the rows, whole or not at all; `about` becomes the metadata `about`, as JSON.

        Raises:
            UserError: no space is left, or the folder cannot be written to.
        """
        if not isinstance(rows, pa.Table):
            rows = pa.Table.from_pylist([dict(row) for row in rows], schema=self.fields)
        metadata = {"schema": self.version, "about": json.dumps(about, sort_keys=True, allow_nan=False)}
        with temporary_path(path) as temporary:
            pq.write_table(rows.replace_schema_metadata(metadata), temporary, write_page_checksum=True)

    def read(self, path: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
        """Rows and `about` of a file.

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
SCORES_FILE = RowsFile(SCORE_FIELDS, "scores", "score")

ABLATION_FIELDS = pa.schema(
    [pa.field("condition", pa.string(), nullable=False), pa.field("repeat", pa.int32(), nullable=False), *SCORE_FIELDS]
)
ABLATION_FILE = RowsFile(ABLATION_FIELDS, "ablated scores", "ablate")

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
KERNELS_FILE = RowsFile(KERNEL_FIELDS, "kernels", "kernels")

PROPOSAL_FIELDS = pa.schema(
    [
        pa.field("prior", pa.string(), nullable=False),
        pa.field("entropy", pa.float64(), nullable=False),
        pa.field("images", pa.int32(), nullable=False),
        pa.field("trained", pa.int32(), nullable=False),
        pa.field("beta", pa.float64(), nullable=False),
        pa.field("defence", pa.float64(), nullable=False),
        pa.field("samples", pa.int32(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("share", pa.float64(), nullable=False),
        pa.field("limit", pa.float64(), nullable=False),
        pa.field("error", pa.float64(), nullable=False),
    ]
)
"""`share`: effective sample size by K; `limit`: the same as K grows, exactly; `error`: squared distance of the
estimated gradient of log p(y|π) with respect to the logits from the exact one. `entropy` is that of π in nats."""
PROPOSALS_FILE = RowsFile(PROPOSAL_FIELDS, "proposals", "propose")
