"""Writing files so that a reader sees the old content or the new one, never half of it."""

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parsec.errors import UserError

PARTIAL = ".partial-"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EEXIST}


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn a full disk or a refused write inside the block into one line about `path`.

    Raises:
        UserError: no space is left, or the place cannot be written to.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        if code in _FULL or "No space left on device" in str(error):
            raise UserError(f"{path}: no space left on the disk; free some and run the same command again") from error
        if code in _REFUSED:
            raise UserError(
                f"{path}: cannot be written ({os.strerror(code)}); choose a folder that is yours"
            ) from error
        raise


def sync(path: Path) -> None:
    """Wait until a file's or folder's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def temporary_path(path: Path) -> Iterator[Path]:
    """A path in the same folder, with the same ending, that becomes `path` when the block succeeds.

    After a failure the temporary file is gone and `path` is as it was. Missing folders are made.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    temporary = path.with_name(f"{PARTIAL}{secrets.token_hex(4)}-{path.name}")
    with reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            sync(temporary)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        sync(path.parent)


def write_atomic(path: Path, content: bytes | str) -> None:
    """Put `content` (text as UTF-8) at `path`, whole or not at all.

    Raises:
        UserError: no space is left, or the folder cannot be written to.
    """
    with temporary_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def remove_partial(folder: Path) -> None:
    """Remove what killed writers left in `folder`; only for a folder that nobody else writes to."""
    for leftover in folder.glob(f"{PARTIAL}*"):
        leftover.unlink(missing_ok=True)
