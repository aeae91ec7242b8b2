"""Reading a prepared data set: its facts, and the images of one part as memory maps."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from parsec.data.packed.part import PackedPart, joined_packed
from parsec.data.part import Integers, Part, Shards, first_balanced, joined
from parsec.data.record import INDEX, LABELS, DatasetRecord, FileRecord, PartName, from_json
from parsec.errors import DatasetError
from parsec.runtime.logs import logger

AnyPart = Part | PackedPart

HASHED_BYTES = 1_000_000_000
"""Parts up to this size are hashed when they are opened; of larger ones only the sizes are checked."""


@dataclass(frozen=True)
class DatasetInfo:
    """What stages need to know of a data set; mean and standard deviation per channel, of values in [0, 1]."""

    name: str
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    counts: dict[str, int]
    content_hash: str
    stand_in: str | None


def _read_record(folder: Path) -> DatasetRecord:
    path = folder / "dataset.json"
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(f"no data set in {folder}: {path.name} is missing; `prepare` makes it") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is damaged or of another version; `prepare` makes it anew") from error


def read_info(folder: Path, name: str | None = None) -> DatasetInfo:
    """Read the facts of the data set in `folder`, which must be the one of this `name` if given.

    Raises:
        DatasetError: there is none, its record is damaged, or it is another one.
    """
    record = _read_record(folder)
    if name is not None and record.name != name:
        raise DatasetError(f"{folder}: holds {record.name}, but the settings want {name}; give its folder")
    return DatasetInfo(
        name=record.name,
        classes=tuple(record.classes),
        image_size=record.image_size,
        mean=tuple(record.mean),
        std=tuple(record.std),
        counts={str(part): count for part, count in record.counts.items()},
        content_hash=record.content_hash,
        stand_in=record.stand_in,
    )


def _check_file(path: Path, expected: FileRecord, hashed: bool) -> None:
    remedy = f"add `--forcerun {path.parents[1] / 'dataset.json'}` to your snakemake command to make it again"
    if not path.is_file():
        raise DatasetError(f"{path} is missing; {remedy}")
    if (size := path.stat().st_size) != expected.bytes:
        raise DatasetError(f"{path} has {size} bytes instead of {expected.bytes}; {remedy}")
    if hashed:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected.sha256:
            raise DatasetError(f"{path} has changed since it was written (SHA-256 {found[:12]}…); {remedy}")


def _shard_number(name: str) -> tuple[int, str]:
    """Sort key of shard names: `images-1000.npy` comes after `images-999.npy`."""
    return len(name), name


def open_part(folder: Path, part: PartName, limit: int | None = None) -> AnyPart:
    """Open one part; `limit` keeps so many images (all if there are fewer), the first of every class in equal numbers.

    Raises:
        DatasetError: a missing, truncated or changed file, named; parts above 1 GB are not hashed.
    """
    record = _read_record(folder)
    files = record.parts[part].files
    hashed = sum(entry.bytes for entry in files.values()) <= HASHED_BYTES
    for name, entry in files.items():
        _check_file(folder / part / name, entry, hashed)
    shards = [folder / part / name for name in sorted(files, key=_shard_number) if name not in (LABELS, INDEX)]
    labels: Integers = np.load(folder / part / LABELS, allow_pickle=False)
    rows = np.arange(len(labels)) if limit is None else first_balanced(labels, limit)
    if record.storage == "jpeg":
        index: Integers = np.load(folder / part / INDEX, allow_pickle=False)
        return PackedPart(tuple(shards), index[rows], labels[rows])
    return Part(Shards(shards), rows, labels[rows])


def warn_of_fewer(where: Path, asked: int | None, there: int) -> None:
    """Log a line if fewer images are there than the settings ask for; results record how many were used."""
    if asked is not None and asked > there:
        logger.warning("%s: %d images were asked for, and there are %d: all are used", where, asked, there)


def together(first: AnyPart, second: AnyPart) -> AnyPart:
    """The images of two parts of one data set as one, in order."""
    if isinstance(first, Part) and isinstance(second, Part):
        return joined([first, second])
    assert isinstance(first, PackedPart)
    assert isinstance(second, PackedPart)
    return joined_packed([first, second])
