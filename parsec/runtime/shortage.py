"""Memory that ran out, recognised in what Python, NumPy and torch raise then; torch need not be loaded for that."""

import errno
import re

from parsec.errors import OutOfMemoryError

_WORDS = ("can't allocate memory", "out of memory", "std::bad_alloc", "could not create a ")
"""Torch has an error of its own for a GPU alone; on the CPU it raises a RuntimeError with one of these, the last one of
which is oneDNN's."""


def shortage(error: BaseException) -> OutOfMemoryError | None:
    """What to tell the user if `error`, or one that led to it, says that memory ran out, else None."""
    if not _is_shortage(error):
        before = error.__cause__ or error.__context__
        return shortage(before) if before else None
    text = " ".join(str(error).split())
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", text)
    return OutOfMemoryError(
        f"out of memory ({asked[1] + ' were asked for at once' if asked else text or 'no more is given'}); lower "
        "compute.memory_gib or estimator.samples of a search, or batch_size, or give the job more memory (resource "
        "mem_mb); the same command goes on from its last checkpoint"
    )


def _is_shortage(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)
