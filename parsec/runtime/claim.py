"""One process at a time in a folder: a lock file, released by the kernel when its holder dies."""

from pathlib import Path

from filelock import FileLock, Timeout

from parsec.errors import CheckpointError
from parsec.runtime.files import reported


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
