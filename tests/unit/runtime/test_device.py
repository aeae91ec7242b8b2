"""Devices on a machine without GPU: selection, precision, peak memory, and locks of GPUs."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from parsec.errors import DeviceError
from parsec.runtime.device import (
    acquire_free,
    acquire_gpu,
    autocast,
    memory_format,
    resolve,
    set_deterministic,
)

CPU = torch.device("cpu")


def test_cpu_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve("auto") == resolve("cpu") == CPU


def test_missing_cuda_is_one_line(monkeypatch):
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


def test_cpu_needs_no_lock():
    with acquire_gpu(CPU) as first, acquire_gpu(CPU) as second:
        assert first == second == CPU


AROUND_A_TENSOR = """
import torch
from parsec.runtime.device import device_name, peak_memory_bytes

before = peak_memory_bytes(torch.device("cpu"))
held = torch.ones(before // 2, dtype=torch.uint8)
print(before, peak_memory_bytes(torch.device("cpu")), device_name(held.device))
"""


def test_peak_memory_sees_a_large_tensor():
    # In a new process: this one has the peaks of other tests, and memory that they freed.
    done = subprocess.run([sys.executable, "-c", AROUND_A_TENSOR], capture_output=True, text=True, check=True)
    before, after, name = done.stdout.split()
    assert int(before) > 10_000_000
    assert int(after) > int(before) * 1.2
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


FORK = multiprocessing.get_context("fork")


def hold(ids, folder, reply, seconds):
    with acquire_free(ids, folder, poll_seconds=0.01) as index:
        reply.put((index, time.monotonic()))
        time.sleep(seconds)


def start(ids, folder, seconds):
    reply = FORK.Queue()
    process = FORK.Process(target=hold, args=(ids, folder, reply, seconds))
    process.start()
    return process, reply


def test_two_processes_get_two_devices(tmp_path):
    first, reply = start(["a", "b"], tmp_path, 600)
    assert reply.get(timeout=60)[0] == 0
    with acquire_free(["a", "b"], tmp_path) as index:
        assert index == 1
    first.kill()
    first.join()


def test_second_waits_for_the_only_device(tmp_path, caplog):
    first, reply = start(["a"], tmp_path, 0.2)
    began = reply.get(timeout=60)[1]
    with caplog.at_level("INFO", logger="parsec"), acquire_free(["a"], tmp_path, poll_seconds=0.01):
        assert time.monotonic() - began >= 0.2
    first.join()


def test_killed_holder_frees_its_device(tmp_path):
    first, reply = start(["a"], tmp_path, 600)
    reply.get(timeout=60)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    with acquire_free(["a"], tmp_path) as index:
        assert index == 0


def test_device_is_free_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), acquire_free(["a"], tmp_path):
        raise RuntimeError
    with acquire_free(["a"], tmp_path) as index:
        assert index == 0


def test_no_device_is_one_line(tmp_path):
    with pytest.raises(DeviceError, match="need a device each, but there are 0"), acquire_free([], tmp_path):
        pass
