"""Writing the images of one part into tar shards with an index; shards that are there already are kept."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from parsec.data.packed.encode import Stored, encode
from parsec.data.record import INDEX, LABELS, FileRecord, PartRecord
from parsec.data.shards import CHUNK, PixelStatistics, Progress, write_array
from parsec.data.sources.base import Integers
from parsec.data.sources.encoded import Encoded
from parsec.errors import UserError
from parsec.runtime.files import temporary_path, write_atomic
from parsec.settings.datasets import Jpeg

IMAGES_PER_SHARD = 10_000
"""About 300 MB of ImageNet at a short side of 256 pixels."""


class _Shard(NamedTuple):
    """A shard that is finished: what the note beside it, `images-000.json`, says."""

    file: dict[str, Any]
    rows: list[tuple[int, int, int, int]]
    """Offset and length in bytes, width and height in pixels, an image."""
    histogram: list[int]


def write_packed_part(
    folder: Path, images: Encoded, positions: Integers, form: Jpeg, short_side: int, statistics: PixelStatistics | None
) -> PartRecord:
    """Write the images at `positions` as `images-000.tar` …, `index.npy` and `labels.npy`.

    `index.npy` is int64 [N, 5]: shard, offset and length in bytes, width and height in pixels. A shard that an
    interrupted call finished, and left a note of, is not made again; the folder must be of equal settings and images.

    Raises:
        DatasetError: an image that cannot be decoded.
        UserError: no space is left.
    """
    progress = Progress(folder.name, len(positions))
    files, rows = {}, []
    for number, start in enumerate(range(0, len(positions), IMAGES_PER_SHARD)):
        chosen = positions[start : start + IMAGES_PER_SHARD]
        path = folder / f"images-{number:03d}.tar"
        shard = _finished(path) or _write_shard(path, images, chosen, form, short_side, progress)
        files[path.name] = FileRecord(**shard.file)
        rows += [(number, *row) for row in shard.rows]
        if statistics is not None:
            statistics.add_counts(np.array(shard.histogram).reshape(3, 256))
    files[INDEX] = write_array(folder / INDEX, np.array(rows, dtype=np.int64).reshape(-1, 5))
    files[LABELS] = write_array(folder / LABELS, images.labels[positions])
    return PartRecord(files=files)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _finished(path: Path) -> _Shard | None:
    """The shard, if an earlier call finished it: its note is written after it."""
    if not path.is_file() or not _note(path).is_file():
        return None
    shard = _Shard(**json.loads(_note(path).read_text(encoding="utf-8")))
    return shard if path.stat().st_size == shard.file["bytes"] else None


def _write_shard(
    path: Path, images: Encoded, chosen: Integers, form: Jpeg, short_side: int, progress: Progress
) -> _Shard:
    histogram = np.zeros(768, dtype=np.int64)
    rows = []
    with temporary_path(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            for index, stored in zip(images.indices[chosen], _encoded(images, chosen, form, short_side), strict=True):
                rows.append((_append(tar, int(index), stored), len(stored.content), stored.width, stored.height))
                histogram += stored.histogram
                progress.advance(1)
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        record = {"sha256": digest, "bytes": temporary.stat().st_size}
    shard = _Shard(record, rows, histogram.tolist())
    write_atomic(_note(path), json.dumps(shard._asdict()))
    return shard


def _encoded(images: Encoded, chosen: Integers, form: Jpeg, short_side: int) -> Iterator[Stored]:
    """The images in order, a chunk of them encoded at once by all threads."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, len(chosen), CHUNK):
            chunk: Iterable[int] = chosen[start : start + CHUNK]
            yield from pool.map(lambda i: encode(images.pieces[i], short_side, form.quality), chunk)


def _append(tar: tarfile.TarFile, index: int, stored: Stored) -> int:
    """Add an image under its number in the source; the byte at which its content begins."""
    member = tarfile.TarInfo(f"{index:08d}.jpg")
    member.size = len(stored.content)
    start = tar.offset + tarfile.BLOCKSIZE
    tar.addfile(member, io.BytesIO(stored.content))
    return start


def remove_notes(folder: Path) -> None:
    """Take away the notes of a part when the data set is complete."""
    for note in folder.glob("images-*.json"):
        note.unlink()


def check_partial(folder: Path, identity: str) -> None:
    """Make `folder` one of these settings and images: what another left there would be taken for its own.

    Raises:
        UserError: it holds the shards of other settings, images or code.
    """
    note = folder / "identity"
    if note.is_file() and note.read_text(encoding="utf-8") != identity:
        raise UserError(f"{folder} holds shards of other settings, images or code; delete it to start anew")
    write_atomic(note, identity)
