"""What a run says: plain lines on stderr, and the same with times in a log file that outlives retries."""

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
"""How the lines of an attempt begin in a log file."""


class _Plain(logging.Formatter):
    """The message alone; warnings and errors name their level."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return f"{record.levelname.lower()}: {text}" if record.levelno >= logging.WARNING else text


def configure(log_file: Path | None) -> None:
    """Send the logger `parsec` to stderr and, below the lines of earlier attempts, to `log_file`.

    Of several ranks the first speaks for all; the others say only, on stderr, why they end.

    Raises:
        UserError: the log file cannot be written.
    """
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        handler.close()
    # A full disk under the log file must not bury in tracebacks the one line on stderr that says so.
    logging.raiseExceptions = False
    follows = rank()
    logger.setLevel(logging.ERROR if follows else logging.INFO)
    logger.propagate = False
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_Plain(f"rank {follows}: %(message)s" if follows else None))
    logger.addHandler(console)
    if log_file is not None and not follows:
        logger.addHandler(_appender(log_file))


def _appender(log_file: Path) -> logging.Handler:
    check_file(log_file)
    with reported(log_file):
        # A log grows below the lines of earlier attempts; any other file is somebody's own.
        if log_file.is_file() and log_file.read_bytes()[: len(ATTEMPT)] not in (b"", ATTEMPT.encode()):
            raise UserError(f"{log_file}: exists and is no log of parsec; give --log another name")
        log_file.parent.mkdir(parents=True, exist_ok=True)
        with log_file.open("a", encoding="utf-8") as stream:
            stream.write(f"{ATTEMPT} {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, process {os.getpid()}\n")
        handler = logging.FileHandler(log_file, encoding="utf-8")
    handler.setFormatter(_Plain("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    return handler
