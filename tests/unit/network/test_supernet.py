"""The network of shared weights against the fixed network of the same child."""

import pytest
import torch
from torch import nn

from parsec.config.training import Network
from parsec.network.cell_network import FixedNetwork
from parsec.network.layers import SEPARABLE, MaxPool
from parsec.network.skeleton import edge_stride
from parsec.network.supernet import Supernet
from parsec.space.darts import NODES, PRIMITIVES, edge_index, genotype

CLASSES = 5
SIZES = [("cifar", 8), ("cifar", 13), ("imagenet", 64), ("imagenet", 50)]


def supernet(network, seed=0, dtype=torch.float64):
    return Supernet(network, CLASSES, torch.Generator().manual_seed(seed), dtype=dtype)


def images(side, count=3):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def edge_weights(layer, index, primitive, node, source):
    """Pairs of a fixed edge's parameters and their address in the supernet."""
    name = f"cells.{index}.{primitive}"
    if primitive in SEPARABLE:
        row = edge_index(node, source)
        for repeat, part in enumerate(layer):
            yield part.depthwise.weight, (f"{name}.{repeat}.depthwise", row)
            yield part.pointwise.weight, (f"{name}.{repeat}.pointwise", row)
    elif primitive == "skip_connect" and not isinstance(layer, nn.Identity):
        for half in ("even", "odd"):
            yield getattr(layer, half).weight, (f"{name}.{half}", 2 * node + source)


def cell_weights(cell, index, chosen):
    if hasattr(cell.before, "conv"):
        yield cell.before.conv.weight, (f"cells.{index}.before", None)
    else:
        for half in ("even", "odd"):
            yield getattr(cell.before, half).weight, (f"cells.{index}.before.{half}", None)
    yield cell.previous.conv.weight, (f"cells.{index}.last", None)
    edges = [(node, edge) for node, pair in enumerate(chosen) for edge in pair]
    for layer, (node, edge) in zip(cell.edges, edges, strict=True):
        yield from edge_weights(layer, index, edge.primitive, node, edge.input)


def twin(shared, child, side):
    """The child as a `FixedNetwork` with the shared weights copied over, and the address of each of its weights."""
    network = FixedNetwork(child, shared.network, CLASSES, side, auxiliary=False).double().train()
    convolutions = [layer for layer in network.stem.modules() if isinstance(layer, nn.Conv2d)]
    pairs = [(layer.weight, (f"stem.{i}", None)) for i, layer in enumerate(convolutions)]
    for index, (cell, shape) in enumerate(zip(network.cells, shared.shapes, strict=True)):
        pairs += cell_weights(cell, index, getattr(child, shape.kind))
        for position, layer in enumerate(cell.edges):
            if isinstance(layer, MaxPool):
                norm = nn.BatchNorm2d(shape.channels, affine=False, track_running_stats=False)
                cell.edges[position] = nn.Sequential(layer, norm)
    linear = network.classifier.linear
    pairs += [(linear.weight, ("classifier.weight", None)), (linear.bias, ("classifier.bias", None))]
    with torch.no_grad():
        for parameter, address in pairs:
            parameter.copy_(shared.weights(*address))
    return network, pairs


@pytest.mark.parametrize(("stem", "side"), SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_child_matches_fixed_network_with_gradients(random_genotype, stem, side, seed):
    """Outputs and gradients; in the fixed network, pools get the batch norm that follows them in the search."""
    shared, child = supernet(Network(stem=stem, cells=5, channels=4)), random_genotype(seed)
    network, pairs = twin(shared, child, side)
    given = images(side)
    expected, logits = network(given)[0], shared(child, given)
    torch.testing.assert_close(logits, expected, rtol=1e-9, atol=1e-11)
    target = torch.randn(expected.shape, dtype=torch.float64)
    (expected * target).sum().backward()
    (logits * target).sum().backward()
    gradients = {}
    for parameter, address in pairs:
        # A cell whose nodes all ignore one of its inputs gives that projection no gradient at all.
        gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        gradients[address] = gradients.get(address, 0.0) + gradient
    scale = float(shared.weights.gradient.abs().max())
    for address, gradient in gradients.items():
        torch.testing.assert_close(shared.weights(*address).grad, gradient, rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_single_primitive_matches_fixed_network(uniform_genotype, primitive):
    shared, child = supernet(Network(cells=3, channels=4)), uniform_genotype(primitive)
    network, _ = twin(shared, child, 8)
    torch.testing.assert_close(shared(child, images(8)), network(images(8))[0], rtol=1e-9, atol=1e-11)


def test_unused_edges_get_zero_gradient(random_genotype):
    shared, child = supernet(Network(cells=3, channels=4)), random_genotype(0)
    _, pairs = twin(shared, child, 8)
    shared(child, images(8)).square().sum().backward()
    assert all(shared.weights(*address).grad.any() for _, address in pairs if address[1] is not None)
    for _, address in pairs:
        shared.weights(*address).grad.zero_()
    assert not shared.weights.gradient.any()


def covering_children():
    """Children that use every primitive on every edge between them."""
    for primitive in PRIMITIVES:
        for first in (0, 2, 4):
            cell = [(primitive, min(first + slot, node + 1)) for node in range(NODES) for slot in (0, 1)]
            yield genotype(cell, cell)


@pytest.mark.parametrize(("stem", "side"), [("cifar", 32), ("imagenet", 256)])
def test_every_weight_gets_some_gradient(stem, side):
    shared = supernet(Network(stem=stem, cells=3, channels=2))
    for child in covering_children():
        shared(child, images(side, count=2)).square().sum().backward()
    assert bool((shared.weights.gradient != 0).all())


def test_initial_weights_depend_only_on_seed():
    network = Network(cells=3, channels=4)
    torch.manual_seed(1)
    first = supernet(network, seed=3, dtype=torch.float32).weights.flat
    torch.manual_seed(2)
    assert torch.equal(supernet(network, seed=3, dtype=torch.float32).weights.flat, first)
    assert not torch.equal(supernet(network, seed=4, dtype=torch.float32).weights.flat, first)


def test_channels_last_gives_the_same_numbers(random_genotype):
    shared, child = supernet(Network(cells=3, channels=4)), random_genotype(1)
    last = images(8).contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(shared(child, last), shared(child, images(8)), rtol=1e-9, atol=1e-11)


def test_only_reduction_cell_inputs_are_strided():
    shapes = supernet(Network(cells=3, channels=2)).shapes
    strides = [[edge_stride(shape, source) for source in range(4)] for shape in shapes]
    assert strides == [[1, 1, 1, 1], [2, 2, 1, 1], [2, 2, 1, 1]]
