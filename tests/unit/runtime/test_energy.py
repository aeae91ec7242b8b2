"""Energy: what counters say, over their range, and nothing where there are none."""

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


def test_joules_of_the_packages_and_not_of_what_is_in_them(package):
    meter = EnergyMeter(CPU, package.parent)
    assert meter.total_joules() == 0.0
    (package / "energy_uj").write_text("6500000\n")
    (package.parent / "intel-rapl:0:0" / "energy_uj").write_text("9000000\n")
    assert meter.total_joules() == 2.5


def test_a_counter_that_began_again(package):
    meter = EnergyMeter(CPU, package.parent)
    (package / "energy_uj").write_text("1000000\n")
    assert meter.total_joules() == pytest.approx(7.0)
    (package / "energy_uj").write_text("2000000\n")
    assert meter.total_joules() == pytest.approx(8.0)


def test_nothing_to_read_is_no_number(tmp_path, package):
    assert EnergyMeter(CPU, tmp_path / "nowhere").total_joules() is None
    (package / "energy_uj").unlink()
    (package.parent / "intel-rapl:0:0" / "energy_uj").unlink()
    assert EnergyMeter(CPU, package.parent).total_joules() is None


def test_a_gpu_by_nvml(tmp_path, monkeypatch):
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
