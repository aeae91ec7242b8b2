"""Shared parameters: one vector of weights and one of gradients, and tensors that share their memory."""

import pytest
import torch

from parsec.network.supernet import SharedParameters
from parsec.runtime.device import peak_bytes

STACKED = {"edges.depthwise": (3, 4, 1, 5, 5), "edges.pointwise": (3, 4, 8, 1, 1)}
PLAIN = {"classifier.weight": (10, 16), "classifier.bias": (10,)}


def shared(seed=0, dtype=torch.float64, stacked=STACKED, plain=PLAIN):
    return SharedParameters(stacked, plain, torch.Generator().manual_seed(seed), dtype=dtype)


def test_tensors_are_views_of_flat_vector():
    made = shared()
    assert made.flat.numel() == 3 * (4 * 25 + 4 * 8) + 170
    shapes = [tuple(made(name, edge).shape) for name, edge in (("edges.depthwise", 2), ("classifier.bias", None))]
    assert shapes == [(4, 1, 5, 5), (10,)]
    with torch.no_grad():
        made.flat.fill_(7.0)
    assert bool((made("edges.pointwise", 1) == 7.0).all())
    assert made("edges.pointwise", 1) is made("edges.pointwise", 1)


def test_start_and_size_locate_a_tensor():
    made = shared()
    start, size = made.start("edges.pointwise"), made.entry_size("edges.pointwise")
    assert torch.equal(made.flat[start + size : start + 2 * size], made("edges.pointwise", 1).flatten())
    assert torch.equal(made.flat[made.start("classifier.weight") :][:160], made("classifier.weight").flatten())


def test_backward_accumulates_only_in_used_edge():
    made = shared()
    used = made("edges.pointwise", 1)
    for _ in range(2):
        (3.0 * used).sum().backward()
    assert made.flat.grad is made.gradient
    assert made.gradient.sum() == 6.0 * used.numel()
    used.grad.zero_()
    assert not made.gradient.any()


def test_optimizing_flat_vector_updates_tensors():
    made = shared()
    before = made("classifier.weight").detach().clone()
    made("classifier.weight").sum().backward()
    torch.optim.SGD([made.flat], lr=0.5).step()
    torch.testing.assert_close(made("classifier.weight").detach(), before - 0.5)


def test_edge_use_avoids_full_sized_allocations():
    made = shared(stacked={"edges": (1000, 50, 50)}, plain={})
    peak = peak_bytes(lambda: made("edges", 7).square().sum().backward(), torch.device("cpu"))
    assert 0 < peak < made.flat.nbytes / 100


def test_initial_values_depend_only_on_seed():
    torch.manual_seed(1)
    first = shared(seed=5).flat.detach()
    torch.manual_seed(2)
    assert torch.equal(shared(seed=5).flat.detach(), first)
    assert torch.equal(shared(seed=5, dtype=torch.float32).flat.detach(), first.float())
    assert not torch.equal(shared(seed=6).flat.detach(), first)


@pytest.mark.parametrize(
    ("name", "edge", "fan_in"), [("edges.depthwise", 0, 25), ("edges.pointwise", 2, 8), ("classifier.weight", None, 16)]
)
def test_initial_values_have_pytorchs_spread(name, edge, fan_in):
    wide = {key: (shape[0], 400, *shape[2:]) for key, shape in STACKED.items()}
    values = shared(stacked=wide, plain={"classifier.weight": (400, 16)})(name, edge).detach()
    assert float(values.abs().max()) <= fan_in**-0.5
    assert float(values.std()) == pytest.approx((3 * fan_in) ** -0.5, rel=0.05)
    assert abs(float(values.mean())) < 0.1 * fan_in**-0.5


def test_biases_start_at_zero():
    assert not shared()("classifier.bias").any()
