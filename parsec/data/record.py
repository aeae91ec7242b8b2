"""The schemas of `dataset.json`, written last by `prepare` and the only way in for readers, and of `source.json`."""

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

PartName = Literal["train", "validation", "test"]
PARTS: tuple[PartName, ...] = ("train", "validation", "test")
LABELS = "labels.npy"
INDEX = "index.npy"
Storage = Literal["pixels", "jpeg"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]


class _Branch(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class FileRecord(_Branch):
    """What a file must be, so that damage shows."""

    sha256: Sha256
    bytes: Annotated[int, Field(ge=1)]


class PartRecord(_Branch):
    """The files of one part by name, shards and `labels.npy`."""

    files: dict[str, FileRecord]


class DatasetRecord(_Branch):
    """A prepared data set; mean and standard deviation are those of the training and validation pixels, in [0, 1]."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    name: str
    source: str
    classes: list[str]
    image_size: Annotated[int, Field(ge=1)]
    channels: Literal[3] = 3
    mean: Triple
    std: Triple
    counts: dict[PartName, int]
    parts: dict[PartName, PartRecord]
    content_hash: Sha256
    stand_in: str | None
    storage: Storage = "pixels"


class SourceRecord(_Branch):
    """`source.json`: where the images came from; apart from `dataset.json`, which depends on images and split alone."""

    schema_version: Annotated[Literal[1], Field(alias="schema")] = 1
    served_by: str
    settings: dict[str, Any]
    fingerprint: str


def content_hash(parts: dict[PartName, PartRecord]) -> str:
    """SHA-256 over the hashes of all files: equal images, labels and splits have equal hashes."""
    lines = [f"{part}/{file} {entry.sha256}" for part in PARTS for file, entry in sorted(parts[part].files.items())]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def as_json(record: DatasetRecord | SourceRecord) -> str:
    """The text of `dataset.json` or `source.json`."""
    document = record.model_dump(mode="json", by_alias=True)
    return json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def from_json(text: str) -> DatasetRecord:
    """Read the text of a `dataset.json`.

    Raises:
        pydantic.ValidationError: not the text of a `dataset.json` of this schema.
    """
    return DatasetRecord.model_validate_json(text)
