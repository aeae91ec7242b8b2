"""What a run keeps on the disk while it lasts: its checkpoints, and metrics that end where the checkpoint does."""

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from parsec.runtime.checkpoint import Checkpoints
from parsec.runtime.metrics import MetricsFile
from parsec.runtime.outputs import METRICS


class Store(Protocol):
    """Where one process of a run leaves rows and states."""

    def load(self) -> dict[str, Any] | None:
        """The newest good state, None if there is none; rows that are younger are dropped."""

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Keep rows of metrics."""

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Keep the state after so many steps, and all rows before it."""


class OnDisk:
    """The store of a run's first rank; see `Checkpoints` and `MetricsFile` for what goes wrong."""

    def __init__(self, checkpoints: Checkpoints, metrics: MetricsFile) -> None:
        self._checkpoints, self._metrics = checkpoints, metrics

    def load(self) -> dict[str, Any] | None:
        """See `Store.load`."""
        state = self._checkpoints.load()
        self._metrics.truncate(state["metrics_position"] if state else 0)
        return state

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """See `Store.append`."""
        self._metrics.append(rows)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """See `Store.save`."""
        self._metrics.sync()
        self._checkpoints.save(step, {**state, "metrics_position": self._metrics.position})


class Nowhere:
    """The store of all other ranks, whose rows and states are those of the first."""

    def load(self) -> None:
        """Nothing: the first rank shares what it has."""

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Drop the rows."""

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Drop the state."""


@contextlib.contextmanager
def opened(folder: Path, fingerprint: str, leads: bool) -> Iterator[Store]:
    """The store of a run in `folder`, whose lock its first rank holds."""
    if not leads:
        yield Nowhere()
        return
    with (
        Checkpoints(folder, fingerprint) as checkpoints,
        contextlib.closing(MetricsFile(folder / METRICS)) as metrics,
    ):
        yield OnDisk(checkpoints, metrics)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """The rows that a run which has ended left in its state folder."""
    return [json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
