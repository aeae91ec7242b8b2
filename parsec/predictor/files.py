"""The files of predictor-based searches and of proposals."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from parsec.config.predictor import PREDICTOR_JOBS, AnyPredictorJob, PredictorJob
from parsec.errors import UserError
from parsec.records.documents import read_document
from parsec.records.parquet import RowsFile
from parsec.runtime.files import temporary_path


def fields(job: AnyPredictorJob) -> pa.Schema:
    """The columns of a job's table.

    `order` counts trained architectures from 1; `architecture` is its number in the benchmark, of darts the content of
    its `genotype.json`; `accuracy` is of validation, in percent, or the score that stands in its place.
    """
    types = {"pool": pa.string(), "repeat": pa.int32(), "order": pa.int32()}
    types |= {"architecture": pa.int64() if isinstance(job, PredictorJob) else pa.string(), "accuracy": pa.float64()}
    return pa.schema([pa.field(name, kind, nullable=False) for name, kind in types.items()])


class Run(NamedTuple):
    """The job of a run, and its trained architectures."""

    job: AnyPredictorJob
    trained: pd.DataFrame
    accuracies_hash: str
    """Of what stood for the space, see `content_hash`."""


def write_trained(path: Path, job: AnyPredictorJob, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write the rows, whole or not at all.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    table = pa.Table.from_pylist([dict(row) for row in rows], schema=fields(job))
    with temporary_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def read_run(folder: Path) -> Run:
    """Read the results that `parsec predictor` wrote into a folder.

    Raises:
        UserError: a file is missing, damaged or another one.
    """
    remedy = "run `parsec predictor` to make it"
    path = folder / "predictor.json"
    document = read_document(path, "predictor")
    try:
        job = PREDICTOR_JOBS[document["job"]["problem"]].model_validate_json(json.dumps(document["job"]))
        path = folder / "trained.parquet"
        table = pq.read_table(path, page_checksum_verification=True)
    except (OSError, KeyError, TypeError, ValidationError, pa.ArrowException) as error:
        raise UserError(f"{path}: missing or damaged; {remedy}") from error
    if not table.schema.equals(fields(job)):
        raise UserError(f"{path}: not a table of trained architectures; {remedy}")
    return Run(job, table.to_pandas(), document["accuracies_hash"])


FIELDS = pa.schema(
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
FILE = RowsFile(FIELDS, "proposals", "propose")
