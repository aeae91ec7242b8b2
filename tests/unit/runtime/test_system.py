"""Energy counters, and the memory that malloc keeps."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from parsec.runtime.system import EnergyMeter

CPU = torch.device("cpu")


@pytest.fixture
def package(tmp_path):
    folder = tmp_path / "intel-rapl:0"
    for name in ("intel-rapl:0", "intel-rapl:0:0"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "max_energy_range_uj").write_text("10000000\n")
        (tmp_path / name / "energy_uj").write_text("4000000\n")
    return folder


def test_joules_count_packages_once(package):
    meter = EnergyMeter(CPU, package.parent)
    assert meter.total_joules() == 0.0
    (package / "energy_uj").write_text("6500000\n")
    (package.parent / "intel-rapl:0:0" / "energy_uj").write_text("9000000\n")
    assert meter.total_joules() == 2.5


def test_counter_wraps_around(package):
    meter = EnergyMeter(CPU, package.parent)
    (package / "energy_uj").write_text("1000000\n")
    assert meter.total_joules() == pytest.approx(7.0)
    (package / "energy_uj").write_text("2000000\n")
    assert meter.total_joules() == pytest.approx(8.0)


def test_unreadable_counters_give_none(tmp_path, package):
    assert EnergyMeter(CPU, tmp_path / "nowhere").total_joules() is None
    (package / "energy_uj").unlink()
    (package.parent / "intel-rapl:0:0" / "energy_uj").unlink()
    assert EnergyMeter(CPU, package.parent).total_joules() is None


def test_gpu_energy_by_nvml(tmp_path, monkeypatch):
    used = {"GPU-some": 5_000}
    library = SimpleNamespace(
        NVMLError=RuntimeError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID=lambda name: name,
        nvmlDeviceGetTotalEnergyConsumption=used.__getitem__,
    )
    monkeypatch.setitem(sys.modules, "pynvml", library)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="some"))
    meter = EnergyMeter(torch.device("cuda"), tmp_path)
    used["GPU-some"] = 7_500
    assert meter.total_joules() == 2.5


HEAP = """
import ctypes
from parsec.runtime.system import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes, SIZE = ctypes.c_void_p, [ctypes.c_void_p], 100 << 20
class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in "arena ordblks smblks hblks hblkhd u f uordblks fordblks k".split()]
libc.mallinfo2.restype = Mallinfo2
assert not {keep} or keep_freed_memory()
block = libc.malloc(SIZE)
assert block
libc.free(block)
print(libc.mallinfo2().fordblks >= SIZE)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
@pytest.mark.parametrize("keep", [False, True])
def test_freed_blocks_are_kept(keep):
    """By default 100 MB go back to the system; kept, they are free blocks of the heap."""
    code = [sys.executable, "-c", HEAP.format(keep=keep)]
    assert subprocess.run(code, capture_output=True, check=True, text=True).stdout == f"{keep}\n"
