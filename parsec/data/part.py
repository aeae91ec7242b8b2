"""The images of a part as memory-mapped shards, and choosing among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import overload

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]

OPEN_SHARDS = 256
"""Shards kept open at once: every memory map holds a file descriptor, and there may be thousands of shards."""


class Shards(Sequence[Pixels]):
    """The shards of one or more parts, [n, H, W, 3] each, memory-mapped when they are first read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.lengths = np.array([len(_open_shard(path)) for path in paths], dtype=np.int64)
        self._open: Callable[[Path], Pixels] = lru_cache(maxsize=OPEN_SHARDS)(_open_shard)

    @overload
    def __getitem__(self, index: int) -> Pixels: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pixels]: ...
    def __getitem__(self, index: int | slice) -> Pixels | list[Pixels]:
        """One shard, or several."""
        if isinstance(index, slice):
            return [self._open(path) for path in self.paths[index]]
        return self._open(self.paths[index])

    def __len__(self) -> int:
        return len(self.paths)


def _open_shard(path: Path) -> Pixels:
    shard: Pixels = np.load(path, mmap_mode="r", allow_pickle=False)
    return shard


@dataclass(frozen=True)
class Part:
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
        found = np.empty((len(rows), *self.images[0].shape[1:]), dtype=np.uint8)
        for shard in np.unique(shard_of):
            here = np.flatnonzero(shard_of == shard)
            found[here] = self.images[int(shard)][rows[here] - (ends[shard] - self.images.lengths[shard])]
        return found


def first_balanced(labels: Integers, limit: int) -> Integers:
    """Positions, ascending, of `limit` images: the first of every class, then the second of every class, and so on."""
    by_class = np.argsort(labels, kind="stable")
    counts = np.bincount(labels)
    rank = np.empty(len(labels), dtype=np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.sort(np.lexsort((labels, rank))[:limit])


def joined(parts: Sequence[Part]) -> Part:
    """The images of several parts as one, in order."""
    offsets = np.cumsum([0] + [int(part.images.lengths.sum()) for part in parts])
    return Part(
        Shards([path for part in parts for path in part.images.paths]),
        np.concatenate([part.rows + offset for part, offset in zip(parts, offsets, strict=False)]),
        np.concatenate([part.labels for part in parts]),
    )
