"""The shared weights of NAS-Bench-201: every child is the plain network with those weights, in values and gradients."""

import pytest
import torch
import torch.nn.functional as F

from parsec.config.training import Network
from parsec.network.nasbench201 import STAGES, BenchmarkNetwork, BenchmarkSupernet, Cell, Residual, cell_name
from parsec.space.nasbench201 import EDGES, architecture, architectures

NETWORK = Network(cells=3, channels=4)
CLASSES = 7
DEAD_END = architecture(["nor_conv_3x3", "none", "none", "skip_connect", "nor_conv_1x1", "none"])
NOTHING = architecture(["none"] * 6)


@pytest.fixture
def supernet():
    """Shared weights in float64."""
    return BenchmarkSupernet(NETWORK, CLASSES, torch.Generator().manual_seed(0), dtype=torch.float64)


def owners(child, supernet):
    """The plain network of a child, and which leaf of the supernet each of its weights is."""
    network = BenchmarkNetwork(child, CLASSES, NETWORK.cells, NETWORK.channels).double().train()
    shared, stage, cell, pairs = supernet.weights, 0, 0, []
    pairs.append((network.stem[0].weight, shared("stem")))
    for block in network.blocks:
        if isinstance(block, Residual):
            stage, cell = stage + 1, 0
            first, second = (conv_of(part) for part in block.convs)
            pairs += [(first.weight, shared(f"residuals.{stage}.first"))]
            pairs += [(second.weight, shared(f"residuals.{stage}.second"))]
            pairs += [(block.shortcut[1].weight, shared(f"residuals.{stage}.shortcut"))]
        if isinstance(block, Cell):
            layers = [layer for node in block.edges for layer in node]
            for edge, (operation, layer) in enumerate(zip(child.operations, layers, strict=True)):
                if operation.startswith("nor_conv"):
                    pairs.append((conv_of(layer).weight, shared(f"{cell_name(stage, cell)}.{operation}", edge)))
            cell += 1
    pairs += [
        (network.classifier.weight, shared("classifier.weight")),
        (network.classifier.bias, shared("classifier.bias")),
    ]
    with torch.no_grad():
        for own, shared in pairs:
            own.copy_(shared)
    return network, pairs


def conv_of(layer):
    return next(part for part in layer.modules() if isinstance(part, torch.nn.Conv2d))


@pytest.mark.parametrize("child", [*(architectures()[index] for index in (0, 9, 123, 9930)), DEAD_END, NOTHING])
def test_child_matches_plain_network(supernet, child):
    network, pairs = owners(child, supernet)
    images = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 6])
    expected, logits = network(images), supernet(child, images)
    torch.testing.assert_close(logits, expected)
    F.cross_entropy(expected, labels).backward()
    F.cross_entropy(logits, labels).backward()
    for own, shared in pairs:
        torch.testing.assert_close(shared.grad, own.grad if own.grad is not None else torch.zeros_like(own))
    # Weights that the child does not use get no gradient: all that there is belongs to a pair.
    assert sum(shared.grad.abs().sum() for _, shared in pairs).item() == pytest.approx(
        supernet.weights.gradient.abs().sum().item()
    )


def test_every_weight_has_its_own_slot(supernet):
    widths = [4, 8, 16]
    cells = NETWORK.cells * len(EDGES) * sum((9 + 1) * c * c for c in widths)
    residuals = sum(c * c // 2 * 9 + c * c * 9 + c * c // 2 for c in widths[1:])
    assert supernet.weights.flat.numel() == cells + residuals + 4 * 3 * 9 + CLASSES * 16 + CLASSES
    names = [f"{cell_name(stage, cell)}.nor_conv_3x3" for stage in range(STAGES) for cell in range(3)]
    assert len({supernet.weights.start(name) for name in names}) == 9
