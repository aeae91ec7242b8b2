"""Scores on a GPU: those of the CPU, and no wait for the device while a matrix is made."""

import pytest
import torch

from parsec.network.nasbench201 import BenchmarkNetwork
from parsec.space.nasbench201 import architectures
from parsec.zero_cost.naswot import jacobian_correlation, log_determinant, relu_kernel

pytestmark = pytest.mark.usefixtures("deterministic", "full_float32")
MATRICES = [relu_kernel, jacobian_correlation]


@pytest.fixture
def workload():
    torch.manual_seed(0)
    return BenchmarkNetwork(architectures()[6111], 1), torch.randn(64, 3, 32, 32)


def test_gpu_score_matches_cpu(workload):
    network, images = workload
    expected = log_determinant(relu_kernel(network, images).numpy())
    on_gpu = log_determinant(relu_kernel(network.cuda(), images.cuda()).cpu().numpy())
    # Rounding puts a few units on the other side of zero.
    assert on_gpu == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("matrix", MATRICES)
def test_equal_input_gives_equal_bytes(workload, matrix):
    network, images = (part.cuda() for part in workload)
    assert torch.equal(matrix(network, images), matrix(network, images))


@pytest.mark.parametrize("matrix", MATRICES)
def test_no_matrix_waits_for_the_device(workload, matrix):
    network, images = (part.cuda() for part in workload)
    matrix(network, images)
    torch.cuda.set_sync_debug_mode("error")
    try:
        matrix(network, images)
    finally:
        torch.cuda.set_sync_debug_mode("default")
