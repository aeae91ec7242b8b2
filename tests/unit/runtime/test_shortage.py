"""Memory that ran out is told from other errors, whoever raised it."""

import errno
import os

import numpy as np
import pytest
import torch

from parsec.runtime.shortage import shortage


def raised_by(function):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what is raised is what is tested
        function()
    return caught.value


@pytest.mark.parametrize(
    "function", [lambda: bytearray(2**60), lambda: np.empty(2**50), lambda: torch.empty(2**60, dtype=torch.uint8)]
)
def test_what_libraries_raise_without_memory_is_one_line(function):
    told = shortage(raised_by(function))
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
def test_a_gpu_the_kernel_and_cpp_run_out_too(error):
    assert str(shortage(error)).startswith("out of memory (")
    assert ("2.00 GiB" in str(error)) == ("(2.00 GiB were asked for at once)" in str(shortage(error)))


def test_what_hides_a_shortage_does_not_hide_it():
    """As torch does when a checkpoint does not fit into memory."""
    hiding = RuntimeError("unexpected pos 12637376 vs 12637264")
    hiding.__context__ = MemoryError()
    assert "out of memory (no more is given)" in str(shortage(hiding))


@pytest.mark.parametrize("error", [ValueError("out of memory"), OSError(errno.ENOENT, "x"), RuntimeError("shape")])
def test_other_errors_are_left_alone(error):
    assert shortage(error) is None
