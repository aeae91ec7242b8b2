"""The scores of NASWOT against their definitions, computed unit by unit."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from parsec.config.training import Network
from parsec.network.cell_network import FixedNetwork
from parsec.network.nasbench201 import BenchmarkNetwork
from parsec.space.nasbench201 import architecture, parse
from parsec.space.published import DARTS_V2
from parsec.zero_cost.naswot import (
    RIDGE,
    UnscoredError,
    eigenvalue_score,
    jacobian_correlation,
    log_determinant,
    relu_kernel,
)

MIXED = parse("|nor_conv_3x3~0|+|nor_conv_1x1~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")
IMAGES = 6


def agreements(codes):
    """N_A − d_H(c_i, c_j) for lists of codes, counted one unit at a time."""
    return np.array([[sum(a == b for a, b in zip(one, other, strict=True)) for other in codes] for one in codes])


class Rectified(TorchFunctionMode):
    """Notes the codes of what goes into `F.relu`."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        if function is F.relu:
            self.seen.append((arguments[0] > 0).flatten(1))
        return function(*arguments, **(keywords or {}))


@pytest.fixture
def images():
    return torch.randn(IMAGES, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(1)
    return BenchmarkNetwork(MIXED, 1)


def test_kernel_counts_agreeing_units():
    torch.manual_seed(0)
    first, second = nn.Linear(4, 5), nn.Linear(5, 3)
    network = nn.Sequential(first, nn.ReLU(), second, nn.ReLU(), nn.Linear(3, 1))
    x = torch.randn(IMAGES, 4)
    hidden = first(x)
    codes = torch.cat([hidden > 0, second(F.relu(hidden)) > 0], dim=1).tolist()
    assert np.array_equal(relu_kernel(network, x).numpy(), agreements(codes))


@pytest.mark.parametrize(
    "rectify",
    [nn.ReLU(), nn.ReLU(inplace=True), F.relu, torch.relu, torch.relu_, lambda x: x.relu(), lambda x: F.relu(x, True)],
)
def test_kernel_counts_every_relu_variant(rectify):
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 4, 3), torch.randn(IMAGES, 3, 6, 6)
    kernel = relu_kernel(lambda given: rectify(layer(given)).sum(), x)
    assert np.array_equal(kernel.numpy(), agreements((layer(x) > 0).flatten(1).tolist()))


def test_repeated_relus_count_separately():
    x = torch.randn(IMAGES, 10)
    once = relu_kernel(lambda given: F.relu(given).sum(), x)
    assert torch.equal(relu_kernel(lambda given: (F.relu(given) + F.relu(given)).sum(), x), 2 * once)


def test_in_place_changed_maps_are_recounted():
    x = torch.randn(IMAGES, 10)

    def network(given):
        given = given.clone()
        before = F.relu(given).sum()
        return before + F.relu(given.neg_()).sum()

    expected = relu_kernel(lambda given: F.relu(given).sum(), x) + relu_kernel(lambda given: F.relu(given).sum(), -x)
    assert torch.equal(relu_kernel(network, x), expected)


def test_all_relus_of_a_network_count(network, images):
    units = [int(relu_kernel(network, images)[0, 0])]
    cells = 5 * 3 * (16 * 16**2 + 32 * 8**2 + 64 * 4**2)
    residuals = 16 * 16**2 + 2 * 32 * 8**2 + 64 * 4**2
    assert units == [cells + residuals + 64 * 4**2]


def test_darts_kernel_counts_agreeing_units():
    torch.manual_seed(0)
    darts = FixedNetwork(DARTS_V2, Network(cells=3, channels=4), classes=1, image_size=8, auxiliary=False)
    x, seen = torch.randn(IMAGES, 3, 8, 8), []
    kernel = relu_kernel(lambda given: darts(given)[0], x)
    with Rectified(seen), torch.no_grad():
        darts(x)
    assert np.array_equal(kernel.numpy(), agreements(torch.cat(seen, dim=1).tolist()))
    assert math.isfinite(log_determinant(kernel.numpy()))


def test_kernel_is_independent_of_memory_layout(network, images):
    plain = relu_kernel(network, images)
    last = relu_kernel(
        network.to(memory_format=torch.channels_last), images.contiguous(memory_format=torch.channels_last)
    )
    # Rounding may put a unit at the edge on the other side.
    assert (plain - last).abs().max() <= 1e-4 * plain[0, 0]
    assert plain.diagonal().equal(last.diagonal())


def test_score_is_the_log_determinant():
    kernel = np.array([[4.0, 1.0, 2.0], [1.0, 4.0, 3.0], [2.0, 3.0, 4.0]])
    determinant = 4 * (16 - 9) - (4 - 6) + 2 * (3 - 8)
    assert log_determinant(kernel) == pytest.approx(math.log(determinant))


def test_equal_codes_have_no_score(images):
    silent = BenchmarkNetwork(architecture(["none"] * 6), 1)
    with pytest.raises(UnscoredError, match="equal codes"):
        log_determinant(relu_kernel(silent, images).numpy())


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_non_finite_values_are_unscored(network, images, value):
    images[2, 0, 0, 0] = value
    with pytest.raises(UnscoredError, match="not finite"):
        log_determinant(relu_kernel(network, images).numpy())
    with pytest.raises(UnscoredError, match="not finite"):
        eigenvalue_score(jacobian_correlation(network, images).numpy())


def test_jacobian_rows_are_per_image_gradients():
    x = torch.randn(IMAGES, 3, 2, 2)
    # The gradient of x³/3 is x².
    correlation = jacobian_correlation(lambda given: (given**3 / 3).flatten(1).sum(1), x)
    assert np.allclose(correlation.numpy(), np.corrcoef(x.double().square().flatten(1).numpy()), atol=1e-6)


def test_the_jacobian_leaves_no_gradient_behind(network, images):
    jacobian_correlation(network, images)
    assert all(weight.grad is None for weight in network.parameters())
    assert images.grad is None
    assert not images.requires_grad


def test_batch_norm_mode_changes_correlations(network, images):
    train = jacobian_correlation(network, images)
    network.eval()
    evaluation = jacobian_correlation(network, images)
    assert (train - evaluation).abs().max() > 1e-3
    assert torch.equal(evaluation, jacobian_correlation(network, images))


def test_the_eigenvalue_score_follows_its_formula():
    correlation = np.array([[1.0, 0.5], [0.5, 1.0]])
    expected = -sum(math.log(sigma + RIDGE) + 1 / (sigma + RIDGE) for sigma in (0.5, 1.5))
    assert eigenvalue_score(correlation) == pytest.approx(expected)


def test_indistinguishable_images_score_lower():
    alike = np.full((4, 4), 0.99) + 0.01 * np.eye(4)
    assert eigenvalue_score(alike) < eigenvalue_score(np.eye(4))
    assert log_determinant(100 * alike) < log_determinant(100 * np.eye(4))


def test_network_without_gradient_is_unscored(images):
    silent = BenchmarkNetwork(architecture(["none"] * 6), 1)
    with pytest.raises(UnscoredError, match="gradient"):
        eigenvalue_score(jacobian_correlation(silent, images).numpy())


class Waits(TorchDispatchMode):
    """Notes what hands a value to the host."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        if operation in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.seen.append(operation)
        return operation(*arguments, **(keywords or {}))


@pytest.mark.parametrize("matrix", [relu_kernel, jacobian_correlation])
def test_matrices_are_computed_without_device_sync(network, images, matrix):
    with Waits() as waits:
        matrix(network, images)
    assert waits.seen == []
