"""`trained.parquet`: what every search trained, in order; and the run that it belongs to."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from parsec.errors import UserError
from parsec.runtime.files import temporary_path
from parsec.settings.predictor import PredictorJob

FIELDS = pa.schema(
    [
        pa.field("pool", pa.string(), nullable=False),
        pa.field("repeat", pa.int32(), nullable=False),
        pa.field("order", pa.int32(), nullable=False),
        pa.field("architecture", pa.int64(), nullable=False),
        pa.field("accuracy", pa.float64(), nullable=False),
    ]
)
"""`order` counts trained architectures from 1; `architecture` is its number in the benchmark; validation in percent."""


class Run(NamedTuple):
    """The job of a run, and its trained architectures."""

    job: PredictorJob
    trained: pd.DataFrame


def write_trained(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, whole or not at all.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=FIELDS)
    with temporary_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def read_run(folder: Path) -> Run:
    """What `python -m parsec predictor` wrote into a folder.

    Raises:
        UserError: a file is missing, damaged or another one.
    """
    remedy = "run `python -m parsec predictor` to make it"
    path = folder / "predictor.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        job = PredictorJob.model_validate_json(json.dumps(document["job"]))
        path = folder / "trained.parquet"
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, ValueError, KeyError, TypeError, ValidationError, pa.ArrowException) as error:
        raise UserError(f"{path}: missing or damaged; {remedy}") from error
    if not table.schema.equals(FIELDS):
        raise UserError(f"{path}: not a table of trained architectures; {remedy}")
    return Run(job, table.to_pandas())
