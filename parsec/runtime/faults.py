"""What stopped a command, in one line that says what to do, for errors that no part of the package raises itself.

Torch need not be loaded for that.
"""

import errno
import os
import re
import sys

from parsec.errors import Interrupted, OutOfMemoryError, UserError

_WORDS = ("can't allocate memory", "out of memory", "std::bad_alloc", "could not create a ")
"""Torch has an error of its own only for a GPU; on the CPU it raises a RuntimeError with one of these, the last one of
which is oneDNN's."""
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutputError(UserError):
    """A standard output that cannot take what is printed."""


def as_user_error(error: BaseException) -> UserError | None:
    """What to tell the user about `error`; None if it is a fault of the package, which needs its traceback.

    Only memory that ran out and Ctrl-C are looked for among the errors that led to it, since libraries hide both. A
    fault that happens while another error is handled must not pass for that error.
    """
    if isinstance(error, UserError):
        return error
    for cause in _chain(error):
        if isinstance(cause, KeyboardInterrupt):
            return Interrupted("interrupted; the same command starts again, from the last checkpoint if it had one", 2)
        if _is_shortage(cause):
            return _shortage(cause)
    return _explained(error)


def _chain(error: BaseException | None) -> list[BaseException]:
    """An error and those that led to it."""
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


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
        case OSError() if error.errno in _FULL and error.filename is None:
            return OutputError("the output: no space left on the disk; free some and run the same command again")
        case OSError() if error.filename is not None:
            return UserError(f"{error.filename}: {os.strerror(error.errno or 0)}; check the path and its permissions")
    return None


def release_output() -> None:
    """Let nothing more go to a standard output that cannot take it, or Python itself would complain at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _shortage(error: BaseException) -> OutOfMemoryError:
    asked = re.search(r"[Tt]ried to allocate ([\d.]+ \w+)", _line(error))
    return OutOfMemoryError(
        f"out of memory ({asked[1] + ' were asked for at once' if asked else _line(error) or 'no more is given'}); "
        "lower compute.memory_gib or estimator.samples of a search, or batch_size, or give the job more memory "
        "(resource mem_mb); the same command goes on from its last checkpoint"
    )


def _is_shortage(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    return isinstance(error, RuntimeError) and any(word in str(error) for word in _WORDS)
