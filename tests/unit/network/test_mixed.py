"""The relaxed networks: a mixture that is one architecture gives its logits, and what has no weight is not run."""

import pytest
import torch

from parsec.config.training import Network
from parsec.network.nasbench201 import BenchmarkSupernet
from parsec.network.spaces import child_cost, mixed_op_network, multiply_adds
from parsec.network.supernet import Supernet
from parsec.space.darts import CANDIDATES, CELLS, EDGES, edge_index, genotype
from parsec.space.nasbench201 import OPERATIONS, architectures
from parsec.space.published import DARTS_V2
from parsec.space.spaces import DARTS, NASBENCH201

NETWORK = Network(cells=3, channels=2)
IMAGES = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
ONE_INPUT = genotype(*[[("max_pool_3x3", 0), ("avg_pool_3x3", 0)] * 4] * 2)
"""Both slots of a node read one input, so that one edge has two primitives."""


def supernet(kind):
    return kind(NETWORK, 5, torch.Generator().manual_seed(0), dtype=torch.float64)


def of_darts(child):
    """The mixture that is a child: `none` on all edges that it has not."""
    weights = torch.zeros(len(CELLS), EDGES, len(CANDIDATES), dtype=torch.float64)
    for kind, cell in enumerate(child):
        for node, edges in enumerate(cell):
            for edge in edges:
                weights[kind, edge_index(node, edge.input), CANDIDATES.index(edge.primitive)] += 1.0
    weights[..., 0] = (weights.sum(-1) == 0).double()
    return weights


def of_benchmark(child):
    chosen = torch.tensor([OPERATIONS.index(operation) for operation in child.operations])
    return torch.nn.functional.one_hot(chosen, len(OPERATIONS)).double()[None]


@pytest.mark.parametrize("child", [DARTS_V2, ONE_INPUT])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_one_hot_mixture_equals_darts_child(child, layout):
    network, images = supernet(Supernet), IMAGES.contiguous(memory_format=layout)
    assert torch.equal(mixed_op_network(network)(of_darts(child), images), network(child, images))


def test_one_hot_mixture_equals_random_children(random_genotype):
    network = supernet(Supernet)
    for seed in range(5):
        child = random_genotype(seed)
        mixed = mixed_op_network(network)(of_darts(child), IMAGES)
        torch.testing.assert_close(mixed, network(child, IMAGES), rtol=0, atol=1e-12)


@pytest.mark.parametrize("index", [0, 7, 123, 9930, 15624])
def test_one_hot_mixture_equals_nasbench201_child(index):
    network, child = supernet(BenchmarkSupernet), architectures()[index]
    assert torch.equal(mixed_op_network(network)(of_benchmark(child), IMAGES), network(child, IMAGES))


@pytest.mark.parametrize("kind", [Supernet, BenchmarkSupernet])
def test_nodes_without_any_primitive_are_zero(kind):
    network = supernet(kind)
    names = CANDIDATES if kind is Supernet else OPERATIONS
    weights = torch.zeros(*((2, EDGES) if kind is Supernet else (1, 6)), len(names), dtype=torch.float64)
    weights[..., names.index("none")] = 1.0
    logits = mixed_op_network(network)(weights, IMAGES)
    assert torch.equal(logits, logits[:1].expand_as(logits))


def test_zero_weight_primitives_are_skipped(monkeypatch):
    network, run = supernet(Supernet), []
    original = network.convolve
    monkeypatch.setattr(network, "convolve", lambda *given: run.append(given[1]) or original(*given))
    mixed_op_network(network)(of_darts(DARTS_V2), IMAGES)
    assert run.count("sep_conv_3x3") == 5
    assert set(run) == {"sep_conv_3x3", "dil_conv_3x3"}


def test_primitive_multiply_adds_match_child_differences(random_genotype):
    """What stem, cell inputs and classifier take is the same in all children, so that only differences are compared."""
    for space, children, mixture in (
        (DARTS, [DARTS_V2, ONE_INPUT, random_genotype(2)], of_darts),
        (NASBENCH201, [architectures()[index] for index in (0, 7, 9930)], of_benchmark),
    ):
        table = multiply_adds(space, NETWORK, 8)
        counted = [float((table * mixture(child)).sum()) for child in children]
        exact = [child_cost(child, NETWORK, 5, 8).multiply_adds for child in children]
        assert [c - counted[0] for c in counted] == [e - exact[0] for e in exact]
        assert len(set(exact)) == 3
