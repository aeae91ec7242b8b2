"""One holder per device: a lock file for each, released by the kernel when its holder dies."""

import contextlib
import os
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from parsec.errors import DeviceError
from parsec.runtime.distributed import ALONE, Ranks
from parsec.runtime.logs import logger

Lock = tuple[int, FileLock]
"""Position of a device among those that there are, and its lock, held."""


@contextlib.contextmanager
def lease_one(ids: Sequence[str], folder: Path, ranks: Ranks = ALONE, poll_seconds: float = 0.5) -> Iterator[int]:
    """Hold a free device of `ids` and yield its position; wait, with one line in the log, while too few are free.

    Several ranks get a device each. The first rank of a machine holds all that its machine needs, and no rank keeps
    any while another machine waits, so that two runs never wait for each other.

    Args:
        ids: names of the devices, the same in every process that shares them.
        folder: where the lock files are; made for this user alone.
        ranks: the processes of this run.
        poll_seconds: mean time between two looks.

    Raises:
        DeviceError: there are too few devices, or the folder belongs to another user.
    """
    if not ids:
        raise DeviceError("there is no device to lease; use compute.device: cpu")
    if len(ids) < ranks.local_count:
        raise DeviceError(
            f"{ranks.local_count} ranks need a device each, but there are {len(ids)}; ask for fewer ranks"
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Not through a link that another user may have put there.
    if folder.lstat().st_uid != os.getuid():
        raise DeviceError(f"{folder}: belongs to another user; set TMPDIR to a folder of your own")
    held = _wait(ids, folder, ranks, poll_seconds)
    try:
        yield _assigned(held, ranks)
    finally:
        _release(held)


def _wait(ids: Sequence[str], folder: Path, ranks: Ranks, poll_seconds: float) -> list[Lock]:
    """What this rank holds for its machine once all machines have what they need."""
    needed = ranks.local_count if ranks.local_rank == 0 else 0
    told = False
    while True:
        held = _take(ids, folder, needed)
        (missing,) = ranks.agree(needed - len(held))
        if not missing:
            return held
        _release(held)
        if not told and ranks.leads:
            logger.info("waiting for a free device: other runs hold all %d", len(ids))
        told = True
        # Not in step with others that look for as many.
        time.sleep(poll_seconds * random.uniform(0.5, 1.5))


def _take(ids: Sequence[str], folder: Path, needed: int) -> list[Lock]:
    """The first free devices, so many if there are."""
    held: list[Lock] = []
    for index, name in enumerate(ids):
        if len(held) == needed:
            break
        lock = FileLock(folder / f"{name}.lock", timeout=0)
        with contextlib.suppress(Timeout):
            lock.acquire()
            held.append((index, lock))
    return held


def _assigned(held: list[Lock], ranks: Ranks) -> int:
    """The device of this rank; the ranks of a machine are numbered one after another."""
    places = [0] * ranks.count
    places[ranks.rank : ranks.rank + len(held)] = [index for index, _ in held]
    return ranks.agree(*places)[ranks.rank]


def _release(held: list[Lock]) -> None:
    for _, lock in held:
        lock.release()
