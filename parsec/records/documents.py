"""JSON documents that stages write and reports read: what readers rely on, checked in one place.

Names and seeds become parts of paths, so they are of the types that settings have.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parsec.config.base import Name, Positive, Seed
from parsec.errors import UserError
from parsec.runtime.files import read_json

NonNegative = Annotated[float, Field(ge=0)]


class _Open(BaseModel):
    """What readers rely on; a result may hold more."""

    model_config = ConfigDict(strict=True, extra="allow", allow_inf_nan=False)


class _Cost(_Open):
    wall_seconds: NonNegative
    device_seconds: NonNegative
    device: str
    accelerator: bool
    peak_memory_bytes: Annotated[int, Field(ge=0)]


class _Git(_Open):
    commit: str
    dirty: bool


class _Machine(_Open):
    cpu: str
    cores: int
    gpu: dict[str, Any] | None


class _Provenance(_Open):
    settings: dict[str, Any]
    settings_fingerprint: str
    code_fingerprint: str
    git: _Git | None
    dataset_hash: str | None
    stand_in: str | None
    machine: _Machine
    versions: dict[str, str | None]
    threads: int
    deterministic: bool


class _Complexity(_Open):
    parameters: int
    multiply_adds: int


class _Result(_Open):
    """What all kinds share. Names and seeds become parts of paths, so they are of the types that settings have."""

    schema_version: Literal[1] = Field(alias="schema")
    method: Name
    seed: Seed
    cost: _Cost
    provenance: _Provenance


class _Parent(_Open):
    stage: Name
    dataset: Name
    method: Name
    seed: int


class _Search(_Result):
    kind: Literal["search"]
    stage: Name
    dataset: Name
    genotype: dict[str, Any]
    complexity: _Complexity
    selection: str
    parent: _Parent | None
    child_images: int


class _Test(_Open):
    images: int
    top1_error: NonNegative
    top5_error: NonNegative | None


class _Retrain(_Result):
    kind: Literal["retrain"]
    dataset: Name
    origin: Name
    run: Seed
    genotype: dict[str, Any]
    network: dict[str, Any]
    complexity: _Complexity
    epochs: int
    selection: str
    test: _Test


class _Fit(_Result):
    kind: Literal["fit"]
    stage: Name
    scored: int
    kept: list[str]
    child_images: int


class _PerData(_Open):
    cifar10: float
    cifar100: float
    in16: float


class _Found(_Open):
    """What one search on NAS-Bench-201 found."""

    stage: Name
    dataset: Name
    method: Name
    seed: Seed
    cost: _Cost
    rank_cifar10: int
    test_cifar10: float
    test_cifar100: float
    test_in16: float


class _Lookup(_Open):
    kind: Literal["lookup"]
    schema_version: Literal[1] = Field(alias="schema")
    best: _PerData
    mean: _PerData
    runs: list[_Found]


class _Step(_Open):
    """Memory and time of one step."""

    setting: str
    executor: str
    samples: Positive
    seconds: NonNegative
    seconds_spread: Annotated[list[NonNegative], Field(min_length=2, max_length=2)]
    peak_bytes: Positive


class _Size(_Open):
    cells: Positive
    channels: Positive


class _Measure(_Open):
    kind: Literal["measure"] = "measure"
    device: str
    batch_size: Positive
    network: _Size
    rows: Annotated[list[_Step], Field(min_length=1)]


class _Depth(_Open):
    method: Name
    executor: str
    cells: Positive
    peak_bytes: Positive


class _Depths(_Open):
    kind: Literal["depths"] = "depths"
    rows: Annotated[list[_Depth], Field(min_length=1)]


RESULTS: dict[str, type[_Open]] = {"search": _Search, "retrain": _Retrain, "fit": _Fit}
MADE_BY: dict[str, tuple[str, type[_Open]]] = {
    "lookup": ("lookup", _Lookup),
    "measure": ("measure", _Measure),
    "depths": ("depths", _Depths),
}
"""By kind: the verb that writes the document, and what it holds."""


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The results (`result.json` and `fit.json`) in these files, in this order.

    Raises:
        UserError: a file is missing, damaged or no result, or a key is missing or wrong; the first such key is named.
    """
    return [_read_result(Path(path)) for path in paths]


def _read_result(path: Path) -> dict[str, Any]:
    document = read_json(path, "a result.json; run the workflow again to make it")
    if document.get("kind") not in RESULTS:
        raise UserError(f"{path}: not a result of kind {' or '.join(RESULTS)}; give the result.json of a run")
    return _checked(path, document, RESULTS[document["kind"]])


def read_document(path: Path, kind: str) -> dict[str, Any]:
    """A document of one of the kinds in `MADE_BY`.

    Raises:
        UserError: as `read_results`.
    """
    verb, model = MADE_BY[kind]
    return _checked(path, read_json(path, f"what `parsec {verb}` writes"), model)


def _checked(path: Path, document: dict[str, Any], model: type[_Open]) -> dict[str, Any]:
    try:
        model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: not a document that this version reads ({key}: {first['msg']}); give another, or make it again"
        ) from error
    return document
