"""Devices where there is no GPU: what is chosen, what is refused, how numbers are computed."""

import multiprocessing
import os

import pytest
import torch

from parsec.errors import DeviceError
from parsec.runtime.device import (
    acquire_gpu,
    autocast,
    device_name,
    memory_format,
    peak_memory_bytes,
    resolve,
    set_deterministic,
)

CPU = torch.device("cpu")


def test_cpu_is_chosen_where_cuda_is_absent(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve("auto") == resolve("cpu") == CPU


def test_absent_cuda_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="use auto or cpu") as caught:
        resolve("cuda")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("precision", "dtype"), [("auto", torch.float32), ("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_precision_of_activations(precision, dtype):
    with autocast(CPU, precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_memory_formats():
    assert memory_format("auto") == memory_format("channels_last") == torch.channels_last
    assert memory_format("contiguous") == torch.contiguous_format


def test_cpu_needs_no_lease():
    with acquire_gpu(CPU) as first, acquire_gpu(CPU) as second:
        assert first == second == CPU


def peak_around_a_tensor(reply):
    before = peak_memory_bytes(CPU)
    held = torch.ones(before // 2, dtype=torch.uint8)
    reply.put((before, peak_memory_bytes(CPU), device_name(held.device)))


def test_peak_memory_sees_a_large_tensor():
    # In a process of its own, because the peaks of other tests would hide this one.
    fork = multiprocessing.get_context("fork")
    reply = fork.Queue()
    process = fork.Process(target=peak_around_a_tensor, args=(reply,))
    process.start()
    before, after, name = reply.get(timeout=300)
    process.join()
    assert before > 10_000_000
    assert after > before * 1.2
    assert name == "cpu"


def test_deterministic_switch(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    before = torch.backends.cudnn.benchmark
    set_deterministic(True)
    assert torch.are_deterministic_algorithms_enabled()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    set_deterministic(False)
    assert not torch.are_deterministic_algorithms_enabled()
    torch.backends.cudnn.benchmark = before
