"""Memory that ran out, recognised in what Python, NumPy and torch raise then; torch need not be loaded for that."""

import errno

from parsec.errors import OutOfMemoryError

_WORDS = ("can't allocate memory", "out of memory", "std::bad_alloc", "Cannot allocate memory")
"""Torch has an error of its own for a GPU alone; on the CPU it raises a RuntimeError with one of these."""


def shortage(error: BaseException) -> OutOfMemoryError | None:
    """What to tell the user if `error` says that memory ran out, else None."""
    text = " ".join(str(error).split())
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    refused = isinstance(error, OSError) and error.errno == errno.ENOMEM
    if not (named or refused or (isinstance(error, RuntimeError) and any(word in text for word in _WORDS))):
        return None
    return OutOfMemoryError(
        f"out of memory ({text[:160] or type(error).__name__}); lower compute.memory_gib or estimator.samples of a "
        "search, or batch_size, or give the job more memory (resource mem_mb); the same command goes on from its last "
        "checkpoint"
    )
