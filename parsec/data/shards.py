"""Writing the splits of a prepared data set, as pixels or as packed JPEG files."""

import io
import json
import tarfile
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from parsec.config.datasets import Jpeg
from parsec.data.dataset import INDEX, LABELS, FileRecord, Integers, Pixels, SplitRecord, Triple
from parsec.data.sources.base import Collection
from parsec.data.sources.encoded import Encoded, Piece, read_rgb
from parsec.runtime.files import sha256_of, temporary_path, write_atomic
from parsec.runtime.logs import logger

SHARD_BYTES = 55_000_000
"""Largest size of a shard's file."""
HEADER_BYTES = 128
CHUNK = 128
"""Images decoded between two looks at the clock."""
PROGRESS_SECONDS = 5.0


def mean_std(counts: Integers) -> tuple[Triple, Triple]:
    """Mean and standard deviation per channel in units of the full range 255, from counts of its 256 values [3, 256].

    The counts are exact, so that the result does not depend on the order of the images.
    """
    values = np.arange(256) / 255
    share = counts / counts.sum(axis=1, keepdims=True)
    mean = share @ values
    variance = (share * (values - mean[:, None]) ** 2).sum(axis=1)
    return tuple(mean.tolist()), tuple(np.sqrt(variance).tolist())


class Progress:
    """Log how many images are done and how long the rest takes, every few seconds."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._started = self._logged = time.monotonic()

    def skip(self, count: int) -> None:
        """Leave out `count` images that an earlier call wrote, so that they took none of this call's time."""
        self._total -= count

    def advance(self, count: int) -> None:
        """Count `count` more images as done."""
        self._done += count
        now = time.monotonic()
        if now - self._logged >= PROGRESS_SECONDS:
            self._logged = now
            left = (now - self._started) / self._done * (self._total - self._done)
            logger.info("%s: %d of %d images, %.0f s left", self._label, self._done, self._total, left)


def images_per_shard(side: int) -> int:
    """How many square images of this side fit into one shard."""
    return max(1, (SHARD_BYTES - HEADER_BYTES) // (side * side * 3))


def write_array(path: Path, array: NDArray[np.generic]) -> FileRecord:
    """Write a `.npy` file, whole or not at all."""
    with temporary_path(path) as temporary:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        return _file_record(temporary)


def _file_record(path: Path) -> FileRecord:
    return FileRecord(sha256=sha256_of(path), bytes=path.stat().st_size)


def _decode(images: Collection, positions: Integers, side: int, progress: Progress) -> Pixels:
    shard = np.empty((len(positions), side, side, 3), dtype=np.uint8)
    for start in range(0, len(positions), CHUNK):
        chunk = positions[start : start + CHUNK]
        shard[start : start + CHUNK] = images.read(chunk)
        progress.advance(len(chunk))
    return shard


def write_split(
    folder: Path, images: Collection, positions: Integers, side: int, counts: Integers | None
) -> SplitRecord:
    """Write the images at `positions` as `images-000.npy` … and `labels.npy`; every file appears whole or not at all.

    The counts of their values are added to `counts`, see `mean_std`.

    Raises:
        DatasetError: an image that cannot be decoded.
        UserError: no space is left.
    """
    files = {}
    step, progress = images_per_shard(side), Progress(folder.name, len(positions))
    for number, start in enumerate(range(0, len(positions), step)):
        shard = _decode(images, positions[start : start + step], side, progress)
        if counts is not None:
            for channel, counted in enumerate(counts):
                counted += np.bincount(shard[..., channel].ravel(), minlength=256)
        name = f"images-{number:03d}.npy"
        files[name] = write_array(folder / name, shard)
    files[LABELS] = write_array(folder / LABELS, images.labels[positions])
    return SplitRecord(files=files)


SPARE = 2
"""A JPEG is first decoded at the smallest scale with at least this many times the kept pixels per side."""
SAME = 1.0
"""Two decodings whose values differ by less, on average, are of one image; builds of libjpeg may round differently."""


class Stored(NamedTuple):
    """An encoded image and what is known of it."""

    content: bytes
    width: int
    height: int
    histogram: list[int]
    """Counts of the 256 values of red, green and blue, [768]."""


def encode(piece: Piece, short_side: int, quality: int) -> Stored:
    """Read an image and encode it; a JPEG in RGB that is small enough stays as it is, since encoding loses detail.

    Raises:
        DatasetError: an image that cannot be decoded, named.
    """
    content = piece.read()
    image = read_rgb(content, piece.name, SPARE * short_side)
    if min(image.size) <= short_side and _trains_as(content, image):
        return Stored(content, *image.size, image.histogram())
    small = _shrunk(image, short_side)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=quality)
    return Stored(written.getvalue(), *small.size, small.histogram())


def _trains_as(content: bytes, image: Image.Image) -> bool:
    """Whether the file is a colour JPEG that the decoder of training accepts, and decodes to this image.

    That decoder refuses what Pillow only warns of, such as spare bytes, and leaves EXIF orientation out.
    """
    import simplejpeg

    try:
        if simplejpeg.decode_jpeg_header(content)[2] not in ("YCbCr", "RGB"):
            return False
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:
        return False
    expected = np.asarray(image)
    return pixels.shape == expected.shape and float(np.abs(pixels - expected.astype(np.int16)).mean()) < SAME


def _shrunk(image: Image.Image, short_side: int) -> Image.Image:
    """The image with its short side at most `short_side`."""
    scale = short_side / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(round(length * scale), short_side) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)


IMAGES_PER_SHARD = 10_000
"""About 300 MB of ImageNet at a short side of 256 pixels."""


class _Shard(NamedTuple):
    """A shard that is finished: what the note beside it, `images-000.json`, says."""

    file: dict[str, Any]
    rows: list[tuple[int, int, int, int]]
    """Offset and length in bytes, width and height in pixels, per image."""
    histogram: list[int]


def write_packed_split(
    folder: Path, images: Encoded, positions: Integers, form: Jpeg, short_side: int, counts: Integers | None
) -> SplitRecord:
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
        members = positions[start : start + IMAGES_PER_SHARD]
        path = folder / f"images-{number:03d}.tar"
        if shard := _finished(path):
            progress.skip(len(members))
        else:
            shard = _write_shard(path, images, members, form, short_side, progress)
        files[path.name] = FileRecord(**shard.file)
        rows += [(number, *row) for row in shard.rows]
        if counts is not None:
            counts += np.array(shard.histogram).reshape(3, 256)
    files[INDEX] = write_array(folder / INDEX, np.array(rows, dtype=np.int64).reshape(-1, 5))
    files[LABELS] = write_array(folder / LABELS, images.labels[positions])
    return SplitRecord(files=files)


def _note(path: Path) -> Path:
    return path.with_suffix(".json")


def _finished(path: Path) -> _Shard | None:
    """The shard, if an earlier call finished it: its note is written after it."""
    if not path.is_file() or not _note(path).is_file():
        return None
    shard = _Shard(**json.loads(_note(path).read_text(encoding="utf-8")))
    return shard if path.stat().st_size == shard.file["bytes"] else None


def _write_shard(
    path: Path, images: Encoded, positions: Integers, form: Jpeg, short_side: int, progress: Progress
) -> _Shard:
    histogram = np.zeros(768, dtype=np.int64)
    rows = []
    with temporary_path(path) as temporary:
        with tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT) as tar:
            encoded = _encoded(images, positions, form, short_side)
            for index, stored in zip(images.indices[positions], encoded, strict=True):
                # Under its number in the source; the content begins after the header of the member.
                member = tarfile.TarInfo(f"{int(index):08d}.jpg")
                member.size = len(stored.content)
                rows.append((tar.offset + tarfile.BLOCKSIZE, member.size, stored.width, stored.height))
                tar.addfile(member, io.BytesIO(stored.content))
                histogram += stored.histogram
                progress.advance(1)
        record = _file_record(temporary)
    shard = _Shard(record.model_dump(), rows, histogram.tolist())
    # The note is written after the shard, so that a shard with a note is complete.
    write_atomic(_note(path), json.dumps(shard._asdict()))
    return shard


def _encoded(images: Encoded, positions: Integers, form: Jpeg, short_side: int) -> Iterator[Stored]:
    """The images in order, a chunk of them encoded at once by all threads."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        for start in range(0, len(positions), CHUNK):
            chunk: Iterable[int] = positions[start : start + CHUNK]
            yield from pool.map(lambda i: encode(images.pieces[i], short_side, form.quality), chunk)


def remove_notes(folder: Path) -> None:
    """Take away the notes of a split when the data set is complete."""
    for note in folder.glob("images-*.json"):
        note.unlink()
