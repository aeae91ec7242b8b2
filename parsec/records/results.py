"""Result files: JSON documents that tables and figures are made from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from parsec.errors import UserError
from parsec.runtime.files import read_json, write_atomic
from parsec.settings.base import Name, Seed

if TYPE_CHECKING:
    import torch

    from parsec.runtime.trainer import Spent

NonNegative = Annotated[float, Field(ge=0)]


def cost(spent: "Spent", device: "torch.device") -> dict[str, Any]:
    """The `cost` of a result file: seconds and memory over all attempts, and the device they were spent on."""
    from parsec.runtime.device import device_name  # tables are made from results without torch

    return {**spent._asdict(), "device": device_name(device), "accelerator": device.type != "cpu"}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document with sorted keys, indented, whole or not at all.

    Raises:
        ValueError: a number is not finite.
        UserError: no space is left.
    """
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    write_atomic(path, text + "\n")


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


KINDS: dict[str, type[_Result]] = {"search": _Search, "retrain": _Retrain, "fit": _Fit}


def read_results(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The results in these files, in this order.

    Raises:
        UserError: a file is missing, damaged or no result, or lacks a key; the first such key is named.
    """
    return [_read(Path(path)) for path in paths]


def _read(path: Path) -> dict[str, Any]:
    document = read_json(path, "a result.json; run the workflow again to make it")
    if document.get("kind") not in KINDS:
        raise UserError(f"{path}: not a result of kind {' or '.join(KINDS)}; give the result.json of a run")
    try:
        KINDS[document["kind"]].model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: not a result that this version reads ({key}: {first['msg']}); give another, or make it again"
        ) from error
    return document
