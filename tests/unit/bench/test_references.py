"""The references compute what they are compared with: PARSEC's own children, and DARTS' published supernet."""

import contextlib

import pytest
import torch
import torch.nn.functional as F

from parsec.bench.references import CANDIDATES, Darts, MixedOperation, PlainNetwork, darts_iteration, primitive
from parsec.config.training import Network
from parsec.network.cell_network import FixedNetwork
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.sequential import SequentialExecutor
from parsec.space.published import DARTS_V2

CLASSES = 5


def batch(side, count=4, layout=torch.contiguous_format):
    draws = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, side, side, generator=draws, dtype=torch.float64)
    return images.contiguous(memory_format=layout), torch.randint(CLASSES, (count,), generator=draws)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize(("stem", "side"), [("cifar", 8), ("cifar", 7), ("imagenet", 48)])
def test_plain_child_matches_sequential_executor_gradients(children, pair, stem, side, layout):
    """So that the comparison is of like with like."""
    for child in children(3).genotypes:
        supernet, plain, pairs = pair(child, stem)
        images, labels = batch(side, layout=layout)
        seen = weighted_backward(
            SequentialExecutor(supernet, contextlib.nullcontext), ArchitectureBatch.of([child]), images, labels
        )
        loss = F.cross_entropy(plain.to(memory_format=layout)(images), labels)
        loss.backward()
        torch.testing.assert_close(seen.loss, loss.detach(), rtol=1e-11, atol=0)
        scale = float(supernet.weights.gradient.abs().max())
        for leaf in {id(leaf): leaf for _, leaf in pairs}.values():
            torch.testing.assert_close(gradient_of(leaf, pairs), leaf.grad, rtol=0, atol=1e-11 * scale)


def gradient_of(leaf, pairs):
    """The modules' gradient of a shared weight; two slots may use it, and what no edge reads has none."""
    gradients = [parameter.grad for parameter, shared in pairs if shared is leaf and parameter.grad is not None]
    return sum(gradients, torch.zeros_like(leaf))


def test_darts_supernet_has_published_parameter_count():
    """8 cells × 16 channels on CIFAR-10; DARTS states 1.93 M."""
    model = Darts(Network(cells=8, channels=16), 10)
    assert sum(weight.numel() for weight in model.weights()) == 1_930_618
    assert sum(alpha.numel() for alpha in model.alphas.values()) == 2 * 14 * 8


def test_mixed_operation_is_weighted_candidate_sum():
    torch.manual_seed(0)
    mixed, x = MixedOperation(4, stride=2).double(), torch.randn(2, 4, 6, 6, dtype=torch.float64)
    weights = torch.rand(len(CANDIDATES), dtype=torch.float64)
    expected = sum(weight * layer(x) for weight, layer in zip(weights, mixed.candidates, strict=True))
    torch.testing.assert_close(mixed(x, weights), expected)
    assert CANDIDATES[0] == "none"
    assert not mixed.candidates[0](x).any()
    assert mixed(x, torch.eye(len(CANDIDATES), dtype=torch.float64)[0]).shape == (2, 4, 3, 3)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("name", CANDIDATES)
def test_stride_two_primitives_halve_feature_maps(name, stride):
    assert primitive(name, 4, stride)(torch.randn(2, 4, 7, 7)).shape == (2, 4, -(-7 // stride), -(-7 // stride))


def test_darts_iteration_updates_weights_and_alphas():
    torch.manual_seed(0)
    model = Darts(Network(cells=3, channels=2), CLASSES)
    before = {name: value.clone() for name, value in model.named_parameters()}
    images, labels = batch(8)
    darts_iteration(model, images.float(), labels, lambda: torch.autocast("cpu", enabled=False))()
    still = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert still == []


def test_plain_network_matches_fixed_network():
    """So that retraining, too, is compared with like."""
    torch.manual_seed(0)
    size = Network(cells=4, channels=4)
    plain = PlainNetwork(DARTS_V2, size, CLASSES, 8).double()
    fixed = FixedNetwork(DARTS_V2, size, CLASSES, 8, auxiliary=True).double()
    counted = [sum(parameter.numel() for parameter in network.parameters()) for network in (plain, fixed)]
    assert counted[0] == counted[1]
    with torch.no_grad():
        for mine, other in zip(ordered(plain), ordered(fixed), strict=True):
            other.copy_(mine)
    images, _ = batch(8)
    for actual, expected in zip(plain.run(images, 0.0), fixed(images), strict=True):
        torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-10)


def ordered(network):
    """Weights of convolutions and linear layers; scales and shifts are one and zero in both."""
    parts = [network.stem, *(part for cell in network.cells for part in (cell.before, *last_of(cell), cell.edges))]
    layers = [layer for part in [*parts, network.classifier, network.auxiliary] for layer in part.modules()]
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    return [parameter for layer in layers if isinstance(layer, kinds) for parameter in layer.parameters()]


def last_of(cell):
    return [getattr(cell, "last", None) or cell.previous]
