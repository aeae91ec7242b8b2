"""Writing the images of one part into shards that memory-map, one shard in memory at a time."""

import hashlib
import logging
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parsec.data.dataset import LABELS, FileRecord, PartRecord
from parsec.data.sources.base import Collection, Integers, Pixels
from parsec.runtime.files import temporary_path

logger = logging.getLogger("parsec")

SHARD_BYTES = 55_000_000
"""Largest size of a shard's file."""
HEADER_BYTES = 128
CHUNK = 128
"""Images decoded between two looks at the clock."""
PROGRESS_SECONDS = 5.0


class PixelStatistics:
    """Mean and standard deviation per channel from a histogram of exact counts, [3, 256]."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), dtype=np.int64)

    def add(self, pixels: Pixels) -> None:
        """Count the pixels of some images [n, H, W, 3]."""
        for channel, counts in enumerate(self._counts):
            counts += np.bincount(pixels[..., channel].ravel(), minlength=256)

    def add_counts(self, counts: NDArray[np.int64]) -> None:
        """Add counts of the 256 values of every channel, [3, 256]."""
        self._counts += counts

    def mean_std(self) -> tuple[list[float], list[float]]:
        """Per channel, in units of the full range 255."""
        values = np.arange(256) / 255
        share = self._counts / self._counts.sum(axis=1, keepdims=True)
        mean = share @ values
        variance = (share * (values - mean[:, None]) ** 2).sum(axis=1)
        return mean.tolist(), np.sqrt(variance).tolist()


class Progress:
    """Lines that say how far a part is, every few seconds."""

    def __init__(self, label: str, total: int) -> None:
        self._label, self._total, self._done = label, total, 0
        self._started = self._spoken = time.monotonic()

    def advance(self, count: int) -> None:
        """So many images more are done."""
        self._done += count
        now = time.monotonic()
        if now - self._spoken >= PROGRESS_SECONDS:
            self._spoken = now
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
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return FileRecord(sha256=digest, bytes=temporary.stat().st_size)


def _decode(images: Collection, positions: Integers, side: int, progress: Progress) -> Pixels:
    shard = np.empty((len(positions), side, side, 3), dtype=np.uint8)
    for start in range(0, len(positions), CHUNK):
        chosen = positions[start : start + CHUNK]
        shard[start : start + CHUNK] = images.read(chosen)
        progress.advance(len(chosen))
    return shard


def write_part(
    folder: Path, images: Collection, positions: Integers, side: int, statistics: PixelStatistics | None = None
) -> PartRecord:
    """Write the images at `positions` as `images-000.npy` … and `labels.npy`; every file appears whole or not at all.

    Raises:
        DatasetError: an image that cannot be decoded.
        UserError: no space is left.
    """
    files = {}
    step, progress = images_per_shard(side), Progress(folder.name, len(positions))
    for number, start in enumerate(range(0, len(positions), step)):
        shard = _decode(images, positions[start : start + step], side, progress)
        if statistics is not None:
            statistics.add(shard)
        name = f"images-{number:03d}.npy"
        files[name] = write_array(folder / name, shard)
    files[LABELS] = write_array(folder / LABELS, images.labels[positions])
    return PartRecord(files=files)
