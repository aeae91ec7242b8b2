"""π as a Parquet file: one row per choice, exact on the way out and in, checked by name on the way in."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from parsec.errors import PriorError
from parsec.prior.distribution import Prior
from parsec.runtime.files import temporary_path
from parsec.space.factors import Form
from parsec.space.spaces import DARTS, SPACES, SearchSpace

SCHEMA_VERSION = "1"
_ORIGIN = "its metadata, which says of what space and form a π is, is missing"
KEYS = ("cell", "node", "slot", "factor", "choice")
TOLERANCE = 1e-5
"""By how much probabilities may differ from those of the logits, which are what is read: as much as float32 rounds."""

Row = dict[str, Any]


def _names(prior: Prior) -> list[tuple[Any, ...]]:
    """Identifiers of every choice, in the order of `KEYS`."""
    return [(f.cell, f.node, f.slot, f.kind, choice) for f in prior.factors for choice in f.choices]


def columns(prior: Prior) -> dict[str, list[Any]]:
    """Columns of a `pi.parquet`, one row per choice: `KEYS`, logit and marginal probability."""
    with torch.no_grad():
        probabilities = prior.marginals()[prior.mask].tolist()
        logits = prior.logits[prior.mask].tolist()
    identifiers = {key: list(values) for key, values in zip(KEYS, zip(*_names(prior), strict=True), strict=True)}
    return identifiers | {"logit": logits, "probability": probabilities}


def _schema(prior: Prior, metadata: Mapping[str, str], leading: tuple[str, ...] = ()) -> pa.Schema:
    whole, text, real = pa.int32(), pa.string(), pa.float64()
    types = {"cell": text, "node": whole, "slot": whole, "factor": text, "choice": text} | dict.fromkeys(leading, whole)
    fields = [pa.field(name, types[name]) for name in (*leading, *KEYS)]
    fields += [pa.field("logit", real), pa.field("probability", real)]
    return pa.schema(fields, metadata={"schema": SCHEMA_VERSION, "factors": prior.form, **metadata})


def write_prior(path: Path, prior: Prior, metadata: Mapping[str, str]) -> None:
    """Write `pi.parquet`: logits and marginal probabilities by name; `metadata` says where π came from."""
    table = pa.table(columns(prior), schema=_schema(prior, metadata))
    with temporary_path(path) as temporary:
        pq.write_table(table, temporary, write_page_checksum=True)


def write_trajectory(
    path: Path,
    form: Form,
    history: Iterable[tuple[int, int, Tensor]],
    metadata: Mapping[str, str],
    space: SearchSpace = DARTS,
) -> None:
    """Write `trajectory.parquet`: the rows of π at every (epoch, step, logits) of `history`."""
    tables = []
    for epoch, step, logits in history:
        prior = Prior(form, logits, space)
        rows = columns(prior)
        count = len(rows["logit"])
        rows |= {"epoch": [epoch] * count, "step": [step] * count}
        tables.append(pa.table(rows, schema=_schema(prior, metadata, ("epoch", "step"))))
    with temporary_path(path) as temporary:
        pq.write_table(pa.concat_tables(tables), temporary, write_page_checksum=True)


def _read(path: Path) -> tuple[list[Row], dict[str, str]]:
    """Rows and metadata of a Parquet file that may be a π."""
    try:
        table = pq.read_table(path, page_checksum_verification=True)
        metadata = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    except FileNotFoundError as error:
        raise PriorError(f"{path}: no such file; run the stage that writes it first") from error
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise PriorError(
            f"{path}: truncated or not a Parquet file ({reason}); run the stage that writes it again"
        ) from error
    if "schema" not in metadata or "factors" not in metadata:
        raise PriorError(f"{path}: a Parquet file, but no π: {_ORIGIN}; give the pi.parquet of a search")
    for key in ("seed", "epoch"):
        if key in metadata and not metadata[key].isdecimal():
            raise PriorError(f"{path}: π says that its {key} is {metadata[key]!r}, no number; give the file as written")
    if missing := {*KEYS, "logit", "probability"} - set(table.column_names):
        raise PriorError(f"{path}: π lacks the columns {', '.join(sorted(missing))}; give the file as written")
    if any(pa.types.is_nested(kind) for kind in table.schema.types):
        raise PriorError(f"{path}: π has a column of lists; give the file as written")
    return table.to_pylist(), metadata


def read_metadata(path: Path) -> dict[str, str]:
    """Where a π came from: schema, space, stage, dataset, method, seed, epoch and fingerprints.

    Raises:
        PriorError: the file is missing or damaged.
    """
    return _read(path)[1]


def read_prior(path: Path, form: Form, space: str) -> Prior:
    """Read `pi.parquet`, matching every choice by name.

    The logits are taken as they are. Their softmax is what sums to 1, so that a π of float32 is read as well; the
    probabilities beside them are only compared.

    Raises:
        PriorError: missing, damaged, of another space or form, not finite, or not a distribution.
    """
    return _by_name(path, _checked(path, form, space)[0], Prior(form, space=SPACES[space]))


def open_prior(path: Path, epoch: int | None = None) -> tuple[Prior, dict[str, str]]:
    """π of the space and form that the file names, and the file's metadata; of a trajectory the last π, or of an epoch.

    Raises:
        PriorError: as `read_prior`; a space that is not known, or no such epoch.
    """
    metadata = read_metadata(path)
    space = metadata.get("space", "")
    if space not in SPACES:
        raise PriorError(f"{path}: π belongs to space {space!r}; register it first, there are {', '.join(SPACES)}")
    # A form that the space does not have is refused by the comparison of the choices.
    form: Form = "edges" if metadata["factors"] == "edges" else "separate"
    history = read_history(path, form, space)
    wanted = [prior for known, prior in history if epoch in (None, known)]
    if not wanted:
        epochs = ", ".join(str(known) for known, _ in history)
        raise PriorError(f"{path}: no π after epoch {epoch}; there are {epochs}")
    return wanted[-1], metadata


def _checked(path: Path, form: Form, space: str) -> tuple[list[Row], dict[str, str]]:
    """Rows and metadata of a file of this form and space."""
    rows, metadata = _read(path)
    expected = {"schema": SCHEMA_VERSION, "space": space, "factors": form}
    for key, value in expected.items():
        if metadata.get(key) != value:
            raise PriorError(f"{path}: π has {key} {metadata.get(key)!r}, but {value!r} is needed; give a π that fits")
    # Files of before may say that the inputs of a node exclude one another: these logits mean another distribution.
    if metadata.get("inputs", "independent") != "independent":
        raise PriorError(f"{path}: π draws the inputs of a node without replacement; search again, or give another π")
    return rows, metadata


def read_history(path: Path, form: Form, space: str) -> list[tuple[int, Prior]]:
    """Every (epoch, π) of a `trajectory.parquet`; of a `pi.parquet` the one that it holds, with its epoch.

    Raises:
        PriorError: as `read_prior`.
    """
    rows, metadata = _checked(path, form, space)
    if rows and "epoch" not in rows[0]:
        return [(int(metadata.get("epoch", -1)), _by_name(path, rows, Prior(form, space=SPACES[space])))]
    by_epoch: dict[int, list[Row]] = {}
    for row in rows:
        if not isinstance(row["epoch"], int):
            raise PriorError(
                f"{path}: an epoch of the trajectory is {row['epoch']!r}, no whole number; give the file as written"
            )
        by_epoch.setdefault(row["epoch"], []).append(row)
    if not by_epoch:
        raise PriorError(f"{path}: the trajectory of π is empty; run the stage that writes it again")
    return [(epoch, _by_name(path, by_epoch[epoch], Prior(form, space=SPACES[space]))) for epoch in sorted(by_epoch)]


def _by_name(path: Path, rows: list[Row], prior: Prior) -> Prior:
    """Fill `prior` from the rows, whatever their order."""
    row_of = {tuple(row[key] for key in KEYS): row for row in rows}
    wanted = _names(prior)
    if set(row_of) != set(wanted) or len(rows) != len(wanted):
        odd = next((key for key in [*wanted, *row_of] if (key in row_of) != (key in wanted)), "a repeated row")
        raise PriorError(
            f"{path}: the choices of π are not those of this space (first difference: {odd}); give a π that fits"
        )
    logits, probabilities = ([row_of[key][name] for key in wanted] for name in ("logit", "probability"))
    filled = torch.zeros_like(prior.mask, dtype=torch.float64)
    filled[prior.mask] = _finite(path, "logit", logits)
    stored = torch.zeros_like(filled)
    stored[prior.mask] = _finite(path, "probability", probabilities)
    _check_distribution(path, prior, stored, filled)
    return Prior(prior.form, filled, prior.space)


def _finite(path: Path, name: str, values: list[object]) -> Tensor:
    numbers = torch.tensor([value if isinstance(value, float) else math.nan for value in values], dtype=torch.float64)
    if not bool(numbers.isfinite().all()):
        raise PriorError(f"{path}: a {name} of π is not a finite number; run the stage that writes it again")
    return numbers


def _check_distribution(path: Path, prior: Prior, stored: Tensor, logits: Tensor) -> None:
    sums = stored.sum(1)
    worst = int((sums - 1).abs().argmax())
    factor = prior.factors[worst]
    if abs(float(sums[worst]) - 1) > TOLERANCE:
        where = f"{factor.cell} node {factor.node} slot {factor.slot} {factor.kind}"
        sum_of = f"the probabilities of {where} sum to {float(sums[worst]):.6g}, not to 1"
        raise PriorError(f"{path}: {sum_of}; give the file as written")
    with torch.no_grad():
        implied = Prior(prior.form, logits, prior.space).marginals()
    if float((implied - stored).abs().max()) > TOLERANCE:
        raise PriorError(f"{path}: the probabilities of π do not belong to its logits; give the file as written")
