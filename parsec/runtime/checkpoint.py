"""Saved state of a run: checkpoints and metrics, written whole or not at all, used by one process at a time.

A checkpoint `step-N.pt` is the ZIP archive that `torch.save` writes: `torch.load(path, weights_only=True)` opens it.
Its comment is the SHA-256 of the bytes before, because `torch.load` ignores the CRCs of an archive.
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
from typing import Any, NamedTuple, Self

import torch
from filelock import FileLock, Timeout

from parsec.errors import CheckpointError
from parsec.runtime.files import remove_partial, reported, write_atomic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import METRICS


def lock_dir(folder: Path, name: str = "lock") -> FileLock:
    """Lock of `folder`, which is made if missing: the file `name` in it, held until the lock is released.

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
        """Append rows, as `finite` leaves them.

        Raises:
            UserError: no space is left.
        """
        text = "".join(json.dumps(finite(row), allow_nan=False, separators=(",", ":")) + "\n" for row in rows)
        rest = memoryview(text.encode())
        with reported(self._path):
            # An unbuffered file may take only a part at once, as on a disk that is nearly full.
            while rest:
                rest = rest[self._file.write(rest) :]

    def truncate(self, position: int) -> None:
        """Drop what was written after `position` (bytes).

        Raises:
            CheckpointError: the file is shorter than that.
        """
        if self.position < position:
            raise CheckpointError(
                f"{self._path}: shorter than its checkpoint records; delete {self._path.parent} to start from scratch"
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


def finite(value: object) -> object:
    """A document with null for numbers that are not finite, because JSON has no word for them."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


KEPT = 2
"""Checkpoints in a folder: the newest, and one more in case that it is damaged."""
_COMMENT_BYTES = 64
"""Length of the archive's comment: a SHA-256 in hexadecimal."""
_TYPES = {"fingerprint": str, "step": int, "state": dict}
"""Keys of a checkpoint and the types of their values."""
_PLAIN = (bool, int, float, str, bytes, type(None), torch.Tensor, torch.Size)


class Checkpoints:
    """Checkpoints in `folder` of the run whose settings have this fingerprint; holds the folder's lock.

    Use it as a context manager, or `close` it.

    Raises:
        CheckpointError: another process holds the folder.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder, self._fingerprint = folder, fingerprint
        self._lock = lock_dir(folder)
        remove_partial(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the folder; the kernel does the same when the process dies."""
        self._lock.release()

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write the state after `step` steps and remove all but the newest `KEPT` checkpoints.

        `state` consists of dictionaries, lists and tuples of tensors, numbers and text: what `weights_only` loads.

        Raises:
            UserError: no space is left; earlier checkpoints are kept.
            TypeError: a value of another type, with its path in `state`.
        """
        _check_plain(state, "state")
        archive = io.BytesIO()
        torch.save({"fingerprint": self._fingerprint, "step": step, "state": state}, archive)
        # The last two bytes of a ZIP archive without a comment are the comment's length.
        archive.seek(-2, io.SEEK_END)
        archive.write(_COMMENT_BYTES.to_bytes(2, "little"))
        digest = hashlib.sha256(archive.getbuffer()).hexdigest()
        archive.write(digest.encode())
        write_atomic(self._folder / f"step-{step:012d}.pt", archive.getbuffer())
        for old in checkpoint_files(self._folder)[:-KEPT]:
            old.unlink()

    def load(self) -> dict[str, Any] | None:
        """Newest intact state, tensors on the CPU; None if nothing has been saved.

        A damaged checkpoint is set aside with a warning if an older one is intact.

        Raises:
            CheckpointError: all are damaged, or they belong to other settings.
        """
        damaged: list[Path] = []
        for path in reversed(checkpoint_files(self._folder)):
            content = path.read_bytes()
            body, comment = memoryview(content)[:-_COMMENT_BYTES], content[-_COMMENT_BYTES:]
            if comment != hashlib.sha256(body).hexdigest().encode():
                damaged.append(path)
                continue
            document = _parse(path, content)
            if document["fingerprint"] != self._fingerprint:
                raise CheckpointError(
                    f"{path}: belongs to settings {document['fingerprint']}, not to these ({self._fingerprint}); "
                    f"restore those settings, or delete {self._folder} to start from scratch"
                )
            # Out of the way, so that the next save does not count them among those to keep.
            for other in damaged:
                aside = other.with_suffix(".damaged")
                other.replace(aside)
                logger.warning("%s is damaged, kept as %s; continuing from %s", other, aside.name, path.name)
            state: dict[str, Any] = document["state"]
            return state
        if damaged:
            raise CheckpointError(
                f"{damaged[0]}: damaged, as are all earlier ones; delete {self._folder} to start from scratch"
            )
        return None


def checkpoint_files(folder: Path) -> list[Path]:
    """Checkpoints in a folder, oldest first."""
    return sorted(folder.glob("step-*.pt"))


def remove_checkpoints(folder: Path) -> None:
    """Remove the checkpoints in a folder and the damaged ones set aside.

    The newest goes last, so that a kill in between leaves the best one.
    """
    for path in [*folder.glob("step-*.damaged"), *checkpoint_files(folder)]:
        path.unlink(missing_ok=True)


def _parse(path: Path, content: bytes) -> dict[str, Any]:
    """The dictionary that an intact checkpoint holds."""
    try:
        document = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        if not all(isinstance(document[key], kind) for key, kind in _TYPES.items()):
            raise TypeError("a value of another type")
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, TypeError, ValueError, AttributeError) as error:
        # PyTorch's own message would advise the user to unpickle a file that nobody vouches for.
        raise CheckpointError(f"{path}: is not a checkpoint of parsec; give another --state") from error
    return dict(document)


def _check_plain(value: object, path: str) -> None:
    """Refuse at saving what `weights_only` would refuse at loading; `path` locates the value in the state."""
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():  # type: ignore[attr-defined]
            _check_plain(key, f"{path} key {key!r}")
            _check_plain(item, f"{path}[{key!r}]")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):  # type: ignore[arg-type]
            _check_plain(item, f"{path}[{index}]")
    elif type(value) not in (*_PLAIN, torch.nn.Parameter):
        raise TypeError(f"{path}: a checkpoint cannot hold a {type(value).__name__}")


class RunDir(NamedTuple):
    """Checkpoints and metrics of a run, kept in step by its main process; see both classes for errors."""

    checkpoints: Checkpoints
    metrics: MetricsFile

    def load(self) -> dict[str, Any] | None:
        """Newest intact state, None if there is none; rows of metrics that are younger are dropped."""
        state = self.checkpoints.load()
        self.metrics.truncate(state["metrics_position"] if state else 0)
        return state

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Save the state after `step` steps, once all rows before it are on the disk."""
        self.metrics.sync()
        self.checkpoints.save(step, {**state, "metrics_position": self.metrics.position})


@contextlib.contextmanager
def open_run_dir(folder: Path, fingerprint: str, is_main_process: bool) -> Iterator[RunDir | None]:
    """Run directory `folder` of the settings with this fingerprint, locked; None in all ranks but the main process."""
    if not is_main_process:
        yield None
        return
    with Checkpoints(folder, fingerprint) as checkpoints, contextlib.closing(MetricsFile(folder / METRICS)) as metrics:
        yield RunDir(checkpoints, metrics)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Rows of metrics in the state folder of a run that has ended."""
    return [json.loads(line) for line in (folder / METRICS).read_text(encoding="utf-8").splitlines()]
