"""Atomic writes: a reader sees the old content of a file or the new one, never a part of it."""

import errno
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from parsec.errors import UserError

PARTIAL = ".partial-"
DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST),
    *(errno.ENOENT, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL, errno.EXDEV),
}


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn a full disk or a refused write inside the block into a one-line error about `path`.

    Raises:
        UserError: no space is left, or `path` cannot be written.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in DISK_FULL or "No space left on device" in str(error):
            raise UserError(f"{path}: no space left on the disk; free some and run the same command again") from error
        if code in _REFUSED:
            raise UserError(
                f"{path}: cannot be written ({os.strerror(code)}); choose a folder that is yours"
            ) from error
        raise


def read_json(path: Path, what: str) -> dict[str, Any]:
    """Mapping in a JSON file; `what` names the file in messages.

    Raises:
        UserError: missing, unreadable, or not a JSON mapping.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); it must be {what}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged, not JSON ({error}); it must be {what}") from error
    if not isinstance(document, dict):
        raise UserError(f"{path}: holds JSON of another form; it must be {what}")
    return document


def sync(path: Path) -> None:
    """Wait until the content of a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def partial_path(path: Path) -> Path:
    """Random name next to `path` for a file or folder that is not complete yet."""
    return path.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{path.name}")


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """Path in the same folder, with the same suffix, that is renamed to `path` when the block succeeds.

    After a failure the temporary file is gone and `path` is unchanged. Missing folders are created.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    temporary = partial_path(path)
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            # On the disk before it is renamed, so that a power cut leaves no empty file under the final name.
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def write_atomic(path: Path, content: bytes | memoryview | str) -> None:
    """Write `content` (text as UTF-8) to `path`, whole or not at all.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    with temporary_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def is_partial(path: Path) -> bool:
    """Whether a path has the name of a temporary file or folder."""
    return re.match(re.escape(PARTIAL) + "[0-9a-f]{8}-", path.name) is not None


def remove_partial(folder: Path) -> None:
    """Remove temporary files that killed writers left in `folder`, to which no other process may be writing."""
    for leftover in filter(is_partial, folder.glob(f"{PARTIAL}*")):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink(missing_ok=True)
