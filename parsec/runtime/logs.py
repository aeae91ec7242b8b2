"""Logging: plain lines on stderr, and the same lines with times in a log file that retries append to."""

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from parsec.errors import UserError
from parsec.runtime.files import reported
from parsec.runtime.launch import rank
from parsec.runtime.outputs import check_file

logger = logging.getLogger("parsec")
ATTEMPT = "== attempt of"
"""First words of the header of each attempt in a log file."""


class _Plain(logging.Formatter):
    """Only the message; warnings and errors are prefixed with their level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


def configure(log_file: Path | None) -> None:
    """Send the logger `parsec` to stderr and, after the lines of earlier attempts, to `log_file`.

    The main process logs for all ranks; the others report only errors, on stderr.

    Raises:
        UserError: the log file cannot be written.
    """
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    # With a full disk under the log file, tracebacks of `logging` must not bury the line on stderr that reports it.
    logging.raiseExceptions = False
    own_rank = rank()
    logger.setLevel(logging.ERROR if own_rank else logging.INFO)
    logger.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_Plain(f"rank {own_rank}: %(message)s" if own_rank else None))
    logger.addHandler(console)
    if log_file is not None and not own_rank:
        logger.addHandler(_appender(log_file))


def _appender(log_file: Path) -> logging.Handler:
    check_file(log_file)
    with reported(log_file):
        # Append to our own log only; any other file belongs to the user.
        if log_file.is_file() and log_file.read_bytes()[: len(ATTEMPT)] not in (b"", ATTEMPT.encode()):
            raise UserError(f"{log_file}: exists and is no log of parsec; give --log another name")
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a", encoding="utf-8") as stream:
            stream.write(f"{ATTEMPT} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, process {os.getpid()}\n")
        handler = logging.FileHandler(log_file, encoding="utf-8")
    handler.setFormatter(_Plain("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler
