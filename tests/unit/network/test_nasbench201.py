"""The network of NAS-Bench-201: its parts, its costs, and the benchmark's own counts of all architectures."""

from itertools import pairwise

import pytest
import torch
from multiply_adds import multiply_adds_of

from parsec.network import nasbench201 as network
from parsec.network.nasbench201 import BenchmarkNetwork, Cell, Residual, network_cost, operation
from parsec.space.nasbench201 import OPERATIONS, architecture, architectures, parse

LARGEST = architecture(["nor_conv_3x3"] * 6)
MIXED = parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")


def table_flops(architecture, classes, image_size):
    """FLOPs by the definition of the tabular benchmark's column, on one image.

    On top of the multiply-adds of `network_cost` it counts two operations per element of a batch norm, one per element
    of a ReLU, one per pixel in the window of an average pooling (nine even at the border), and for the mean before the
    classifier (side + 1)² per channel. Sums, skips, zeros and biases count nothing.
    """
    sides = [network.strided(image_size, 2**stage) for stage in range(network.STAGES)]
    sizes = [network.CHANNELS * 2**stage * side**2 for stage, side in enumerate(sides)]
    an_edge = {**dict.fromkeys(network.KERNELS, 3), "avg_pool_3x3": network.POOL**2}
    cells = network.CELLS * sum(sizes) * sum(an_edge.get(name, 0) for name in architecture.operations)
    # A residual block: the first ReLU and the pooling read the larger map; two batch norms and a ReLU the smaller one.
    residuals = sum(2 * before + 5 * after for before, after in pairwise(sizes))
    ends = 2 * sizes[0] + 3 * sizes[-1] + network.CHANNELS * 2 ** (network.STAGES - 1) * (sides[-1] + 1) ** 2
    return network_cost(architecture, classes, image_size).multiply_adds + cells + residuals + ends


@pytest.mark.parametrize("index", [0, 1, 9, 857, 6111, 9930])
def test_costs_are_those_of_the_modules(index):
    arch = architectures()[index]
    network = BenchmarkNetwork(arch, 10)
    cost = network_cost(arch, 10, 32)
    assert cost.parameters == sum(weight.numel() for weight in network.parameters())
    assert cost.multiply_adds == multiply_adds_of(network, torch.randn(1, 3, 32, 32))


def test_largest_network_has_published_size():
    assert network_cost(LARGEST, 10, 32).parameters == 1_531_546
    assert table_flops(LARGEST, 10, 32) == 222_860_992


@pytest.mark.parametrize(("data", "classes", "side"), [("cifar10", 10, 32), ("cifar100", 100, 32), ("in16", 120, 16)])
def test_all_parameter_counts_match_benchmark(data, classes, side, shared_data):
    path = shared_data("nasbench201.parquet")
    names = [f"params_{data}_M", f"flops_{data}_M"]
    table = pytest.importorskip("pyarrow.parquet").read_table(path, columns=["arch_str", *names]).to_pydict()
    archs = [parse(text) for text in table["arch_str"]]
    assert len(archs) == 15_625
    parameters = [network_cost(each, classes, side).parameters for each in archs]
    flops = [table_flops(each, classes, side) for each in archs]
    assert parameters == [round(value * 1e6) for value in table[names[0]]]
    assert flops == [round(value * 1e6) for value in table[names[1]]]


def test_maps_have_three_resolutions():
    network, sides = BenchmarkNetwork(MIXED, 7), []
    for block in network.blocks:
        block.register_forward_hook(lambda layer, given, output: sides.append(tuple(output.shape[1:])))
    assert network(torch.randn(2, 3, 32, 32)).shape == (2, 7)
    assert sides == [(16, 32, 32)] * 5 + [(32, 16, 16)] * 6 + [(64, 8, 8)] * 6
    assert [isinstance(block, Residual) for block in network.blocks].count(True) == 2


def test_a_cell_adds_up_its_edges():
    x = torch.randn(2, 4, 6, 6)
    cell = Cell(MIXED, 4)
    conv, skip, pool, last = cell.edges[0][0], cell.edges[1][1], cell.edges[2][0], cell.edges[2][2]
    second = skip(conv(x))
    assert torch.allclose(cell(x), pool(x) + last(second), atol=1e-5)


def test_convolutions_rectify_first_and_normalise_last():
    layer = operation("nor_conv_3x3", 4)
    negative = -torch.rand(2, 4, 5, 5)
    assert layer(negative).abs().max() == 0
    output = layer(torch.randn(8, 4, 5, 5))
    assert output.mean((0, 2, 3)).abs().max() < 1e-5


def test_pooling_leaves_the_border_out():
    assert torch.allclose(operation("avg_pool_3x3", 2)(torch.ones(1, 2, 5, 5)), torch.ones(1, 2, 5, 5))


def test_none_is_zero_even_of_infinity():
    assert torch.equal(operation("none", 2)(torch.full((1, 2, 3, 3), torch.inf)), torch.zeros(1, 2, 3, 3))


def test_cell_does_not_modify_its_input():
    # Every node is read by several edges; one that rectified it in place would spoil the others.
    x = torch.randn(2, 4, 6, 6)
    for name in OPERATIONS:
        before = x.clone()
        Cell(architecture([name] * 6), 4)(x)
        assert torch.equal(x, before)
