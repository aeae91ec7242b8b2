"""Saved state of a run: whole or absent, checked by hash, bound to its settings, used by one process at a time.

A file is a magic line, the SHA-256 of the payload as a hexadecimal line, and the payload (the bytes of `torch.save`).
"""

import contextlib
import hashlib
import io
import json
import math
import os
import pickle
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from filelock import FileLock, Timeout

from parsec.errors import CheckpointError
from parsec.runtime.files import remove_partial, reported, temporary_path
from parsec.runtime.logs import logger
from parsec.runtime.outputs import METRICS


def claim(folder: Path, name: str = "lock") -> FileLock:
    """Hold the lock file `name` in `folder`, which is made; release what is returned to let go.

    Raises:
        CheckpointError: another process holds it.
        UserError: the folder cannot be written to.
    """
    with reported(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / name, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise CheckpointError(f"{folder}: another process runs on this state; wait for it or stop it") from error
    return lock


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


_MAGIC = b"PARSEC checkpoint 1\n"
_HEADER = len(_MAGIC) + 65
_PLAIN = (bool, int, float, str, bytes, type(None), torch.Tensor, torch.Size)


class Checkpoints:
    """The checkpoints in `folder` of the run whose settings have this fingerprint; holds the folder's lock.

    Use it as a context manager, or `close` it.

    Raises:
        CheckpointError: another process holds the folder.
    """

    def __init__(self, folder: Path, fingerprint: str, keep: int = 2) -> None:
        self._folder, self._fingerprint, self._keep = folder, fingerprint, keep
        self._lock = claim(folder)
        remove_partial(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the folder; the kernel does the same when the process dies."""
        self._lock.release()

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps and drop the oldest beyond `keep`.

        `state` holds dictionaries, lists and tuples of tensors, numbers and text: what `weights_only` loads.

        Raises:
            UserError: no space is left; the checkpoints before stay.
            TypeError: a value of another type, with its path in `state`.
        """
        _check_plain(state, "state")
        payload = io.BytesIO()
        torch.save({"fingerprint": self._fingerprint, "step": step, "state": state}, payload)
        digest = hashlib.sha256(payload.getbuffer()).hexdigest()
        with temporary_path(self._folder / f"step-{step:012d}.ckpt") as temporary, temporary.open("wb") as file:
            file.write(_MAGIC + digest.encode() + b"\n")
            file.write(payload.getbuffer())
        for old in checkpoint_files(self._folder)[: -self._keep]:
            old.unlink()

    def load(self) -> dict[str, Any] | None:
        """The newest good state, tensors on the CPU; None if nothing was saved yet.

        A damaged checkpoint is set aside with a warning if an older one is good.

        Raises:
            CheckpointError: all are damaged, or they belong to other settings.
        """
        damaged: list[Path] = []
        for path in reversed(checkpoint_files(self._folder)):
            document = _read(path)
            if document is None:
                damaged.append(path)
                continue
            self._check_owner(path, document["fingerprint"])
            _set_aside(damaged, path)
            state: dict[str, Any] = document["state"]
            return state
        if damaged:
            raise CheckpointError(f"{damaged[0]}: damaged, like all before it; delete {self._folder} to start anew")
        return None

    def _check_owner(self, path: Path, fingerprint: str) -> None:
        if fingerprint != self._fingerprint:
            raise CheckpointError(
                f"{path}: belongs to settings {fingerprint}, not to these ({self._fingerprint}); "
                f"restore those settings, or delete {self._folder} to start anew"
            )

    def clear(self) -> None:
        """Remove all checkpoints, the newest last, so that a kill in between still leaves the best one."""
        remove_checkpoints(self._folder)


def checkpoint_files(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(folder.glob("step-*.ckpt"))


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints in a folder and the damaged ones set aside, the newest last."""
    for path in [*folder.glob("step-*.damaged"), *checkpoint_files(folder)]:
        path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, Any] | None:
    content = path.read_bytes()
    payload = memoryview(content)[_HEADER:]
    if content[:_HEADER] != _MAGIC + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        return None
    try:
        document = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
        known = {"fingerprint": str, "step": int, "state": dict}
        if not all(isinstance(document[key], kind) for key, kind in known.items()):
            raise TypeError("of another form")
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        # Not PyTorch's own words: they advise to unpickle what nobody vouches for.
        raise CheckpointError(
            f"{path}: holds something else than a checkpoint of parsec; give another --state"
        ) from error
    return dict(document)


def _set_aside(damaged: list[Path], good: Path) -> None:
    for path in damaged:
        aside = path.with_suffix(".damaged")
        path.replace(aside)
        logger.warning("%s is damaged, kept as %s; continuing from %s", path, aside.name, good.name)


def _check_plain(value: object, where: str) -> None:
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():  # type: ignore[attr-defined]
            _check_plain(key, f"{where} key {key!r}")
            _check_plain(item, f"{where}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):  # type: ignore[arg-type]
            _check_plain(item, f"{where}[{index}]")
    elif type(value) not in (*_PLAIN, torch.nn.Parameter):
        raise TypeError(f"{where}: a checkpoint cannot hold a {type(value).__name__}")


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
def opened(folder: Path, fingerprint: str, is_main_process: bool) -> Iterator[Store]:
    """The store of a run in `folder`, whose lock its first rank holds."""
    if not is_main_process:
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
