"""Devices with a GPU: the lease, precision, memory, and exact continuation of random streams and runs."""

import multiprocessing.pool
import os
import subprocess
import sys

import pytest
import torch

from parsec.config.base import Running
from parsec.errors import Interrupted
from parsec.records.provenance import gpu
from parsec.runtime import loop
from parsec.runtime.checkpoint import Checkpoints
from parsec.runtime.device import acquire_gpu, autocast, device_name, peak_memory_bytes, resolve
from parsec.runtime.rng import Streams

SELDOM = Running(checkpoint_seconds=600.0, progress_seconds=600.0)
HOLD = """
import sys, torch
from parsec.runtime.device import acquire_gpu, resolve
with acquire_gpu(resolve("cuda")) as device:
    print(device.index, torch.cuda.get_device_properties(device).uuid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def device(deterministic):
    return resolve("auto")


class Descent:
    """A few steps of a small convolution on random images."""

    def __init__(self, device, on_step=None):
        self.step, self.total_steps, self.on_step = 0, 12, on_step or (lambda step: None)
        self.streams = Streams(0, device)
        self.device = device
        torch.manual_seed(0)
        self.model = torch.nn.Conv2d(3, 8, 3, padding=1).to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.model.parameters(), 1e-2)

    def advance(self):
        images = torch.rand(8, 3, 16, 16, generator=self.streams.device("images"), device=self.device)
        with autocast(self.device, "auto"):
            loss = self.model(images.contiguous(memory_format=torch.channels_last)).float().square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.step += 1
        self.on_step(self.step)
        return [{"step": self.step, "loss": loss.item()}]

    def flush(self):
        return []

    def check_finite(self):
        pass

    def progress(self):
        return f"step {self.step}"

    def state_dict(self):
        parts = {"model": self.model, "optimizer": self.optimizer, "streams": self.streams}
        return {"step": self.step} | {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state):
        self.step = state["step"]
        for name in ("model", "optimizer", "streams"):
            getattr(self, name).load_state_dict(state[name])


def ending(folder):
    with Checkpoints(folder, "aa") as store:
        state = store.load()["trainer"]
    return state["model"]["weight"], (folder / loop.METRICS).read_bytes()


def test_interrupted_run_resumes_bit_identically(device, tmp_path):
    loop.fit(Descent(device), tmp_path / "whole", "aa", SELDOM, "descent", device)
    stopped = Descent(device, lambda step: os.kill(os.getpid(), 15) if step == 5 else None)
    with pytest.raises(Interrupted):
        loop.fit(stopped, tmp_path / "stopped", "aa", SELDOM, "descent", device)
    loop.fit(Descent(device), tmp_path / "stopped", "aa", SELDOM, "descent", device)
    (weight, rows), (expected, expected_rows) = ending(tmp_path / "stopped"), ending(tmp_path / "whole")
    assert torch.equal(weight, expected)
    assert rows == expected_rows


def test_auto_is_cuda_in_bfloat16(device):
    assert device.type == "cuda"
    ones = torch.ones(4, 4, device=device)
    with autocast(device, "auto"):
        assert (ones @ ones).dtype == torch.bfloat16
    with autocast(device, "float32"):
        assert (ones @ ones).dtype == torch.float32


def test_peak_memory_counts_tensors(device):
    torch.cuda.reset_peak_memory_stats()
    before = peak_memory_bytes(device)
    torch.empty(2**26, dtype=torch.uint8, device=device)
    assert peak_memory_bytes(device) - before >= 2**26 - 2**21


def test_name_is_that_of_the_driver(device):
    assert gpu() is None or gpu()["name"] == device_name(device)


def held_by(process):
    line = process.stdout.readline().split()
    return line[1] if line else None


def test_no_gpu_is_held_twice(tmp_path):
    """One process more than there are GPUs has to wait."""
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    start = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(torch.cuda.device_count() + 1)
    ]
    with multiprocessing.pool.ThreadPool(len(start)) as pool:
        lines = pool.imap_unordered(held_by, start)
        holders = [next(lines) for _ in start[:-1]]
        with pytest.raises(multiprocessing.TimeoutError):
            lines.next(timeout=5)
        for process in start:
            process.stdin.close()
        last = next(lines)
    assert len(set(holders)) == len(holders)
    assert last in holders
    assert all(process.wait() == 0 for process in start)


def test_lease_sets_the_current_device(tmp_path, monkeypatch, device):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with acquire_gpu(device) as leased:
        assert leased.index == torch.cuda.current_device()
