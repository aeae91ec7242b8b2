"""One-line messages, with a remedy, for errors that the package does not raise itself. Does not load torch."""

import errno
import os
import re
import sys

from parsec.errors import Interrupted, OutOfMemoryError, UserError
from parsec.runtime.files import DISK_FULL

_WORDS = ("can't allocate memory", "out of memory", "std::bad_alloc", "could not create a ")
"""Texts of torch's RuntimeErrors if the CPU's memory runs out (the last is oneDNN's); GPUs have their own error."""


class OutputError(UserError):
    """Standard output cannot be written."""


def as_user_error(error: BaseException) -> UserError | None:
    """User-facing form of `error`; None if it is a bug of the package, which needs its traceback.

    Only memory that ran out and Ctrl-C are searched for among the errors that led to it, because libraries hide both. A
    bug that surfaces while another error is handled must not be mistaken for that error.
    """
    if isinstance(error, UserError):
        return error
    for cause in _chain(error):
        if isinstance(cause, KeyboardInterrupt):
            return Interrupted("interrupted; the same command starts again, from the last checkpoint if it had one", 2)
        if _is_out_of_memory(cause):
            return _as_out_of_memory(cause)
    return _explained(error)


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and those that led to it, the latest first."""
    errors: list[BaseException] = []
    while error is not None and error not in errors:
        errors.append(error)
        error = error.__cause__ or error.__context__
    return errors


def _explained(error: BaseException) -> UserError | None:
    match error:
        case RecursionError():
            return UserError("an input is nested too deeply to be read; no file of this package is")
        case BrokenPipeError():
            return OutputError("the output was closed before everything was written to it")
        case UnicodeEncodeError() if error.reason == "surrogates not allowed":
            return UserError(f"a name is not UTF-8: {ascii(error.object)[:80]}; rename the file or folder")
        case UnicodeEncodeError():
            character = error.object[error.start]
            return OutputError(f"the output cannot show {character!a} in {error.encoding}; set PYTHONIOENCODING=utf-8")
        case ImportError() if not (error.name or "").startswith("parsec"):
            return UserError(
                f"a package is missing or half installed ({_line(error)}); run the README's install command again"
            )
        case OSError() if error.errno in DISK_FULL and error.filename is None:
            return OutputError("the output: no space left on the disk; free some and run the same command again")
        case OSError() if error.filename is not None:
            return UserError(f"{error.filename}: {os.strerror(error.errno or 0)}; check the path and its permissions")
    return None


def release_output() -> None:
    """Discard further output to a standard output that cannot be written, or Python itself complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _as_out_of_memory(error: BaseException) -> OutOfMemoryError:
    request = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", _line(error))
    reason = f"{request[1]} were asked for at once" if request else _line(error) or "no more is given"
    return OutOfMemoryError(
        f"out of memory ({reason}); lower compute.memory_gib or estimator.samples of a search, or batch_size, or give "
        "the job more memory (resource mem_mb); the same command goes on from its last checkpoint"
    )


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)
