"""What stopped a command is one line, whoever raised it; faults of the package are not hidden."""

import errno
import os

import numpy as np
import pytest
import torch

from parsec.errors import UserError
from parsec.runtime.faults import as_user_error


def raised_by(function):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what is raised is what is tested
        function()
    return caught.value


@pytest.mark.parametrize(
    "function", [lambda: bytearray(2**60), lambda: np.empty(2**50), lambda: torch.empty(2**60, dtype=torch.uint8)]
)
def test_failed_allocation_is_one_line(function):
    told = as_user_error(raised_by(function))
    assert "lower compute.memory_gib" in str(told)
    assert "\n" not in str(told)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has\nmore"),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
    ],
)
def test_all_kinds_of_memory_errors(error):
    assert str(as_user_error(error)).startswith("out of memory (")
    assert ("2.00 GiB" in str(error)) == ("(2.00 GiB were asked for at once)" in str(as_user_error(error)))


def test_hidden_memory_error_is_found():
    """As torch does when a checkpoint does not fit into memory."""
    hiding = RuntimeError("unexpected pos 12637376 vs 12637264")
    hiding.__context__ = MemoryError()
    assert "out of memory (no more is given)" in str(as_user_error(hiding))


@pytest.mark.parametrize(
    "error", [ValueError("out of memory"), RuntimeError("shape"), ImportError("circular", name="parsec.cli")]
)
def test_other_errors_are_left_alone(error):
    assert as_user_error(error) is None


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (KeyboardInterrupt(), "interrupted", 130),
        (RecursionError("maximum recursion depth exceeded"), "nested too deeply", 2),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "the output was closed", 2),
        (OSError(errno.ENOSPC, "No space left on device"), "the output: no space left", 2),
        (UnicodeEncodeError("ascii", "entropy of π", 11, 12, "ordinal not in range(128)"), "PYTHONIOENCODING=utf-8", 2),
        (UnicodeEncodeError("utf-8", "a\udcff.png", 1, 2, "surrogates not allowed"), "not UTF-8", 2),
        (ModuleNotFoundError("No module named 'yaml'", name="yaml"), "half installed (No module named 'yaml')", 2),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "pi.parquet"), "pi.parquet: Is a directory", 2),
        (FileNotFoundError(errno.ENOENT, "No such file", "pi.parquet"), "pi.parquet: No such file", 2),
    ],
)
def test_each_error_is_one_line(error, line, code):
    told = as_user_error(error)
    assert line in str(told)
    assert "\n" not in str(told)
    assert told.exit_code == code


def test_hidden_interrupt_is_found():
    hiding = SystemError("error return without exception set")
    hiding.__context__ = KeyboardInterrupt()
    assert as_user_error(hiding).exit_code == 130


@pytest.mark.parametrize(
    "handled", [UserError("a mistake"), ImportError("x", name="x"), OSError(errno.ENOENT, "x", "y")]
)
def test_later_fault_is_not_hidden(handled):
    fault = KeyError("of the package")
    fault.__context__ = handled
    assert as_user_error(fault) is None
