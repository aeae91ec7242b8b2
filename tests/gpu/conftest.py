"""What tests on a GPU share: arithmetic that gives equal bits, or that of other devices."""

import pytest
import torch

from parsec.runtime.device import set_deterministic


@pytest.fixture(scope="session", autouse=True)
def cuda():
    """Skip everything here on a machine without a GPU, before any other fixture."""
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")


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
