"""What tests on a GPU share: a prepared data set, and arithmetic that gives equal bits, or that of other devices."""

import pytest
import torch

from parsec.config.datasets import Digits, PrepareJob
from parsec.data.prepare import prepare
from parsec.runtime.device import set_deterministic


@pytest.fixture(scope="session", autouse=True)
def cuda():
    """Skip everything here on a machine without a GPU, before any other fixture."""
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Folder of the prepared digits."""
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder)
    return folder


@pytest.fixture
def deterministic():
    """Equal bits from equal steps."""
    set_deterministic(True)
    yield
    set_deterministic(False)


@pytest.fixture
def full_float32(monkeypatch):
    """Convolutions of PyTorch in full float32, as those of our kernels and of the CPU are."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
