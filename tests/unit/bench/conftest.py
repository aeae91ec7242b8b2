"""Children for the comparisons, and a plain child with the weights of the shared network."""

import pytest
import torch

from parsec.bench.references import CANDIDATES, Darts, PlainChild
from parsec.config.training import Network
from parsec.network.supernet import Supernet
from parsec.prior.distribution import Prior
from parsec.space.darts import NODES, SLOTS, Edge, edge_index

CLASSES = 5


def weight_pairs(plain, supernet, child):
    """(parameter of the plain child, leaf of the supernet) of every weight that the child uses."""
    pairs, shared = outer_pairs(plain, supernet), supernet.weights
    for index, (cell, shape) in enumerate(zip(plain.cells, supernet.shapes, strict=True)):
        edges = [edge for node in getattr(child, shape.kind) for edge in node]
        for slot, (edge, layer) in enumerate(zip(edges, cell.edges, strict=True)):
            pairs += edge_pairs(layer, shared, f"cells.{index}.{edge.primitive}", slot // SLOTS, edge)
    return pairs


def mixed_pairs(plain, supernet):
    """The same of DARTS' network, which uses every weight; its batch norms begin as if they had no scale and shift."""
    pairs, shared = outer_pairs(plain, supernet), supernet.weights
    for index, cell in enumerate(plain.cells):
        for node, source in [(target, source) for target in range(NODES) for source in range(target + 2)]:
            for primitive, layer in zip(CANDIDATES, cell.edges[edge_index(node, source)].candidates, strict=True):
                if any(True for _ in layer.parameters()):
                    name = f"cells.{index}.{primitive}"
                    pairs += edge_pairs(layer, shared, name, node, Edge(primitive, source))
    return pairs


def outer_pairs(plain, supernet):
    """The same of stem, classifier and the inputs of the cells."""
    shared = supernet.weights
    stem = [layer for part in (plain.stem.before, plain.stem.last) for layer in part.modules()]
    convolutions = [layer for layer in stem if isinstance(layer, torch.nn.Conv2d)]
    pairs = [(layer.weight, shared(f"stem.{number}")) for number, layer in enumerate(convolutions)]
    for index, (cell, shape) in enumerate(zip(plain.cells, supernet.shapes, strict=True)):
        name = f"cells.{index}"
        pairs.append((cell.last[1].weight, shared(f"{name}.last")))
        if shape.after_reduction:
            pairs += halves(cell.before, shared, f"{name}.before")
        else:
            pairs.append((cell.before[1].weight, shared(f"{name}.before")))
    return [
        *pairs,
        *zip(plain.classifier.parameters(), map(shared, ("classifier.weight", "classifier.bias")), strict=True),
    ]


def halves(layer, shared, name, *row):
    return [(layer.even.weight, shared(f"{name}.even", *row)), (layer.odd.weight, shared(f"{name}.odd", *row))]


def edge_pairs(layer, shared, name, node, edge):
    if edge.primitive == "skip_connect":
        return [] if isinstance(layer, torch.nn.Identity) else halves(layer, shared, name, 2 * node + edge.input)
    parts = [part for part in layer if isinstance(part, torch.nn.Conv2d)]
    row = edge_index(node, edge.input)
    kinds = ("depthwise", "pointwise")
    return [(part.weight, shared(f"{name}.{i // 2}.{kinds[i % 2]}", row)) for i, part in enumerate(parts)]


@pytest.fixture
def children():
    """A function count → random architectures."""

    def draw(count):
        prior = Prior()
        return prior.children(prior.sample(count, torch.Generator().manual_seed(3)))

    return draw


@pytest.fixture
def pair():
    """A function child, stem → the shared network and the child as plain modules with the same weights (float64)."""

    def build(child, stem="cifar"):
        network = Network(stem=stem, cells=4, channels=4)
        supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0), dtype=torch.float64)
        plain = PlainChild(child, network, CLASSES).double()
        pairs = weight_pairs(plain, supernet, child)
        with torch.no_grad():
            for parameter, leaf in pairs:
                parameter.copy_(leaf)
        assert {id(parameter) for parameter in plain.parameters()} == {id(parameter) for parameter, _ in pairs}
        return supernet, plain, pairs

    return build


@pytest.fixture
def relaxed_pair():
    """The shared network and DARTS' network as plain modules with the same weights (float64)."""
    network = Network(cells=3, channels=4)
    supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = Darts(network, CLASSES).double()
    with torch.no_grad():
        for parameter, leaf in mixed_pairs(plain, supernet):
            parameter.copy_(leaf)
    return supernet, plain
