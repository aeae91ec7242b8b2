"""A prepared data set: its schema, its splits as arrays or packed JPEG files, and how they are opened."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from parsec.config.base import Config, Positive
from parsec.errors import DatasetError
from parsec.runtime.files import sha256_of
from parsec.runtime.logs import logger

SplitName = Literal["train", "validation", "test"]
SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")
LABELS = "labels.npy"
INDEX = "index.npy"
Storage = Literal["pixels", "jpeg"]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Triple = tuple[float, float, float]


class FileRecord(Config):
    """Hash and size of a file, so that damage shows."""

    sha256: Sha256
    bytes: Positive


class SplitRecord(Config):
    """The files of one split by name, shards and `labels.npy`."""

    files: dict[str, FileRecord]


class DatasetInfo(Config):
    """Facts that stages need of a data set; mean and standard deviation per channel, of values in [0, 1]."""

    name: str
    classes: tuple[str, ...]
    image_size: Positive
    mean: Triple
    std: Triple
    counts: dict[SplitName, int]
    content_hash: Sha256
    stand_in: str | None


class DatasetRecord(DatasetInfo):
    """`dataset.json` of a prepared data set; mean and standard deviation are those of training and validation."""

    schema_version: Annotated[Literal[2], Field(alias="schema")] = 2
    source: str
    channels: Literal[3] = 3
    splits: dict[SplitName, SplitRecord]
    storage: Storage = "pixels"


def content_hash(splits: dict[SplitName, SplitRecord]) -> str:
    """SHA-256 over the hashes of all files: equal images, labels and splits have equal hashes."""
    lines = [
        f"{split}/{file} {entry.sha256}" for split in SPLITS for file, entry in sorted(splits[split].files.items())
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]

OPEN_SHARDS = 256
"""Shards kept open at once: every memory map holds a file descriptor, and there may be thousands of shards."""


class Shards:
    """The shards of one or more splits, [n, H, W, 3] each, memory-mapped when they are first read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.lengths = np.array([len(_open_shard(path)) for path in paths], dtype=np.int64)
        self._open = lru_cache(maxsize=OPEN_SHARDS)(_open_shard)

    def __getitem__(self, index: int) -> Pixels:
        return self._open(self.paths[index])

    def __len__(self) -> int:
        return len(self.paths)


def _open_shard(path: Path) -> Pixels:
    shard: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    return shard


@dataclass(frozen=True)
class Split:
    """Labelled images: image i is row `rows[i]` of the shards laid end to end; `rows` and `labels` are int64 [N]."""

    images: Shards
    rows: Integers
    labels: Integers

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, positions: Integers) -> Pixels:
        """Copy the images at some positions into memory, [n, H, W, 3]."""
        ends = np.cumsum(self.images.lengths)
        rows = self.rows[positions]
        shard_of = np.searchsorted(ends, rows, side="right")
        pixels = np.empty((len(rows), *self.images[0].shape[1:]), dtype=np.uint8)
        for shard in np.unique(shard_of):
            here = np.flatnonzero(shard_of == shard)
            pixels[here] = self.images[int(shard)][rows[here] - (ends[shard] - self.images.lengths[shard])]
        return pixels


def first_balanced(labels: Integers, limit: int) -> Integers:
    """Positions, ascending, of `limit` images: the first of every class, then the second of every class, and so on."""
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(np.lexsort((labels, rank))[:limit])


@dataclass(frozen=True)
class PackedSplit:
    """Labelled JPEGs: image i is row i of `index`, int64 [N, 5] (shard, offset, length, width, height)."""

    paths: tuple[Path, ...]
    index: Integers
    labels: Integers

    def __len__(self) -> int:
        return len(self.labels)

    def jpeg(self, position: int) -> NDArray[np.uint8]:
        """The encoded image, a stretch of the memory map."""
        shard, offset, length = self.index[position, :3]
        return self._open(self.paths[shard])[offset : offset + length]

    def sizes(self, positions: Integers) -> Integers:
        """Width and height in pixels, [n, 2]."""
        return self.index[positions, 3:]

    @cached_property
    def _open(self) -> Callable[[Path], NDArray[np.uint8]]:
        # Not shared with other splits: after another `prepare` in this process the path is that of another file.
        return lru_cache(maxsize=OPEN_SHARDS)(lambda path: np.memmap(path, dtype=np.uint8, mode="r"))


AnySplit = Split | PackedSplit

HASHED_BYTES = 1_000_000_000
"""Splits up to this size are hashed when they are opened; of larger ones only the sizes are checked."""


def read_info(folder: Path, name: str | None = None) -> DatasetRecord:
    """Read the record of the data set in `folder`, which must be the one of this `name` if given.

    Raises:
        DatasetError: there is none, its record is damaged, or it is another one.
    """
    path = folder / "dataset.json"
    try:
        record = DatasetRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DatasetError(f"no data set in {folder}: {path.name} is missing; `prepare` makes it") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} is damaged or of another version; `prepare` makes it again") from error
    if name is not None and record.name != name:
        raise DatasetError(f"{folder}: holds {record.name}, but the settings want {name}; give its folder")
    return record


def _check_file(path: Path, expected: FileRecord, hashed: bool) -> None:
    remedy = f"add `--forcerun {path.parents[1] / 'dataset.json'}` to your snakemake command to make it again"
    if not path.is_file():
        raise DatasetError(f"{path} is missing; {remedy}")
    if (size := path.stat().st_size) != expected.bytes:
        raise DatasetError(f"{path} has {size} bytes instead of {expected.bytes}; {remedy}")
    if hashed and (digest := sha256_of(path)) != expected.sha256:
        raise DatasetError(f"{path} has changed since it was written (SHA-256 {digest[:12]}…); {remedy}")


def open_split(folder: Path, split: SplitName, limit: int | None = None) -> AnySplit:
    """Open one split; `limit` keeps at most that many images, the first of every class in equal numbers.

    Raises:
        DatasetError: a missing, truncated or changed file, named; splits above 1 GB are not hashed.
    """
    record = read_info(folder)
    files = record.splits[split].files
    hashed = sum(entry.bytes for entry in files.values()) <= HASHED_BYTES
    for name, entry in files.items():
        _check_file(folder / split / name, entry, hashed)
    # By length first: `images-1000.npy` comes after `images-999.npy`.
    names = sorted(files.keys() - {LABELS, INDEX}, key=lambda name: (len(name), name))
    shards = [folder / split / name for name in names]
    labels: Integers = np.load(folder / split / LABELS, allow_pickle=False)
    rows = np.arange(len(labels)) if limit is None else first_balanced(labels, limit)
    if record.storage == "jpeg":
        index: Integers = np.load(folder / split / INDEX, allow_pickle=False)
        return PackedSplit(tuple(shards), index[rows], labels[rows])
    return Split(Shards(shards), rows, labels[rows])


def warn_of_fewer(where: Path, asked: int | None, there: int) -> None:
    """Log a line if fewer images are there than the settings ask for; results record how many were used."""
    if asked is not None and asked > there:
        logger.warning("%s: %d images were asked for, and there are %d: all are used", where, asked, there)


def together(first: AnySplit, second: AnySplit) -> AnySplit:
    """The images of two splits of one data set as one, in order."""
    labels = np.concatenate([first.labels, second.labels])
    if isinstance(first, Split) and isinstance(second, Split):
        rows = np.concatenate([first.rows, second.rows + int(first.images.lengths.sum())])
        return Split(Shards([*first.images.paths, *second.images.paths]), rows, labels)
    assert isinstance(first, PackedSplit)
    assert isinstance(second, PackedSplit)
    # The shards of the second split are counted after those of the first.
    index = np.concatenate([first.index, second.index + np.array([len(first.paths), 0, 0, 0, 0])])
    return PackedSplit((*first.paths, *second.paths), index, labels)
