"""Saved state of a run: whole or absent, checked by hash, bound to its settings, used by one process at a time.

A file is a magic line, the SHA-256 of the payload as a hexadecimal line, and the payload (the bytes of `torch.save`).
"""

import hashlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch

from parsec.errors import CheckpointError
from parsec.runtime.claim import claim
from parsec.runtime.files import remove_partial, temporary_path
from parsec.runtime.logs import logger

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
