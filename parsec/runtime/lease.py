"""One holder per device: a lock file for each, released by the kernel when its holder dies."""

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from parsec.errors import DeviceError
from parsec.runtime.logs import logger


@contextlib.contextmanager
def lease_one(ids: Sequence[str], folder: Path, poll_seconds: float = 0.5) -> Iterator[int]:
    """Hold the first free device of `ids` and yield its position; wait, with one line in the log, while none is free.

    Args:
        ids: names of the devices, the same in every process that shares them.
        folder: where the lock files are; made for this user alone.
        poll_seconds: time between two looks.

    Raises:
        DeviceError: there is no device, or the folder belongs to another user.
    """
    if not ids:
        raise DeviceError("there is no device to lease; use compute.device: cpu")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise DeviceError(f"{folder}: belongs to another user; set TMPDIR to a folder of your own")
    index, lock = _wait(ids, folder, poll_seconds)
    try:
        yield index
    finally:
        lock.release()


def _wait(ids: Sequence[str], folder: Path, poll_seconds: float) -> tuple[int, FileLock]:
    held = _take(ids, folder)
    if held is None:
        logger.info("waiting for a free device: other runs hold all %d", len(ids))
    while held is None:
        time.sleep(poll_seconds)
        held = _take(ids, folder)
    return held


def _take(ids: Sequence[str], folder: Path) -> tuple[int, FileLock] | None:
    for index, name in enumerate(ids):
        lock = FileLock(folder / f"{name}.lock", timeout=0)
        with contextlib.suppress(Timeout):
            lock.acquire()
            return index, lock
    return None
