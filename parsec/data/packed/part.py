"""The images of a packed part: memory-mapped tar shards and the index that says where each image lies."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
OPEN_SHARDS = 256
"""Shards kept open at once: each holds a file descriptor."""


@dataclass(frozen=True)
class PackedPart:
    """Labelled JPEGs: image i is row i of `index`, int64 [N, 5] (shard, offset, length, width, height)."""

    paths: tuple[Path, ...]
    index: Integers
    labels: Integers

    def __len__(self) -> int:
        return len(self.labels)

    def jpeg(self, position: int) -> NDArray[np.uint8]:
        """The encoded image, a stretch of the memory map."""
        shard, offset, length = self.index[position, :3]
        return _shard(self.paths[shard])[offset : offset + length]

    def sizes(self, positions: Integers) -> Integers:
        """Width and height in pixels, [n, 2]."""
        return self.index[positions, 3:]

    def only(self, rows: Integers) -> "PackedPart":
        """Some of the images."""
        return PackedPart(self.paths, self.index[rows], self.labels[rows])


@lru_cache(maxsize=OPEN_SHARDS)
def _shard(path: Path) -> NDArray[np.uint8]:
    return np.memmap(path, dtype=np.uint8, mode="r")


def joined_packed(parts: Sequence[PackedPart]) -> PackedPart:
    """The images of several parts as one, in order."""
    shards = np.cumsum([0] + [len(part.paths) for part in parts])
    moved = [part.index + np.array([start, 0, 0, 0, 0]) for part, start in zip(parts, shards, strict=False)]
    return PackedPart(
        tuple(path for part in parts for path in part.paths),
        np.concatenate(moved),
        np.concatenate([part.labels for part in parts]),
    )
