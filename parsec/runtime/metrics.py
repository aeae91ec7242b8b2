"""The history of a run as it grows: one JSON object a line, cut back to the checkpoint on resuming."""

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from parsec.errors import CheckpointError
from parsec.runtime.files import reported


class MetricsFile:
    """An open `metrics.jsonl`; rows are appended at `position` (bytes)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with reported(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)

    @property
    def position(self) -> int:
        """Length of the file in bytes."""
        return self._file.tell()

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows at the end; numbers that are not finite become null, which JSON can hold.

        Raises:
            UserError: no space is left.
        """
        text = "".join(json.dumps(_finite(row), allow_nan=False, separators=(",", ":")) + "\n" for row in rows)
        rest = memoryview(text.encode())
        with reported(self._path):
            while rest:
                rest = rest[self._file.write(rest) :]

    def truncate(self, position: int) -> None:
        """Drop what was written after `position`.

        Raises:
            CheckpointError: the file is shorter than that.
        """
        if self.position < position:
            raise CheckpointError(
                f"{self._path}: shorter than its checkpoint says; delete {self._path.parent} to start anew"
            )
        self._file.truncate(position)
        self._file.seek(position)

    def sync(self) -> None:
        """Wait until all rows are on the disk."""
        with reported(self._path):
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _finite(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
