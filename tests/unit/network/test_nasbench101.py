"""The network of NAS-Bench-101: channels as the authors' tests have them, costs, and the benchmark's own counts."""

import numpy as np
import pytest
import torch
from multiply_adds import multiply_adds_of

from parsec.network import nasbench101 as network
from parsec.network.nasbench101 import BenchmarkNetwork, Module, network_cost, vertex_channels
from parsec.space.nasbench101 import Architecture, architecture, draw, from_columns

CONV3, CONV1, POOL = "conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"
LINE = "0100001000010000"
TWO_ENDS = "0110000100010000"
THREE_ENDS = "0111000001000010000100000"
ONE_BEHIND = "0100000110000010000100000"
MIXED = "0101000101000100000100000"


def table_flops(architecture, classes, image_size):
    """FLOPs by the definition of the subset's column, on one image, at the benchmark's size.

    On top of the multiply-adds of `network_cost` it counts two operations per element of a batch norm, one per element
    of a ReLU, and one per pixel in the window of a max pooling. Sums, the mean and biases count nothing.
    """
    areas = [network.strided(image_size, 2**stack) ** 2 for stack in range(network.STACKS)]
    count = 3 * network.CHANNELS * areas[0]
    for stack, widths in enumerate(network.stack_widths(network.CHANNELS, network.MODULES)):
        halving = network.HALVING**2 * widths[0][0] * areas[stack] if stack else 0
        count += halving + areas[stack] * sum(_module_elements(architecture, *width) for width in widths)
    return network_cost(architecture, classes, image_size).multiply_adds + count


def _module_elements(architecture, inputs, outputs):
    """Operations of a module per pixel of its map, besides multiply-adds."""
    channels = vertex_channels(architecture, inputs, outputs)
    named = zip(channels[1:-1], architecture.operations[1:-1], strict=True)
    projected = sum(3 * channels[v] for v in range(1, len(channels)) if architecture.matrix[0][v])
    return projected + sum(width * (3 if name in network.KERNELS else network.POOL**2) for width, name in named)


def cell(adjacency, kind=CONV1):
    side = int(len(adjacency) ** 0.5)
    return from_columns(adjacency, ",".join(["input", *[kind] * (side - 2), "output"]))


@pytest.mark.parametrize(
    ("adjacency", "inputs", "outputs", "channels"),
    [
        (LINE, 8, 16, [8, 16, 16, 16]),
        (LINE, 16, 8, [16, 8, 8, 8]),
        ("0100", 1, 5, [1, 5]),
        (TWO_ENDS, 8, 8, [8, 4, 4, 8]),
        (TWO_ENDS, 8, 15, [8, 8, 7, 15]),
        (THREE_ENDS, 8, 8, [8, 3, 3, 2, 8]),
        (THREE_ENDS, 8, 15, [8, 5, 5, 5, 15]),
        (ONE_BEHIND, 8, 8, [8, 4, 4, 4, 8]),
        (ONE_BEHIND, 8, 9, [8, 5, 5, 4, 9]),
        (MIXED, 8, 15, [8, 8, 7, 7, 15]),
    ],
)
def test_vertex_channels_match_authors_tests(adjacency, inputs, outputs, channels):
    assert vertex_channels(cell(adjacency), inputs, outputs) == channels


def test_costs_are_those_of_the_modules():
    rng = np.random.default_rng(0)
    for arch in [draw(rng) for _ in range(12)] + [cell("0100")]:
        network = BenchmarkNetwork(arch, 7, channels=10, modules=2)
        cost = network_cost(arch, 7, 9, channels=10, modules=2)
        assert cost.parameters == sum(weight.numel() for weight in network.parameters())
        assert cost.multiply_adds == multiply_adds_of(network, torch.randn(2, 3, 9, 9))


def test_known_cell_has_published_parameter_count():
    adjacency = "0100110001000000010010000010000001000000010000000"
    arch = from_columns(adjacency, f"input,{CONV3},{POOL},{CONV3},{CONV3},{CONV1},output")
    assert network_cost(arch, 10, 32).parameters == 8_555_530


def test_counts_equal_the_benchmarks(shared_data):
    path = shared_data("nasbench101-subset.parquet")
    rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
    archs = [from_columns(row["adjacency"], row["operations"]) for row in rows]
    parameters = [network_cost(each, 10, 32).parameters for each in archs]
    assert len(parameters) > 300
    assert parameters == [round(row["params"] * 1e6) for row in rows]
    assert [table_flops(each, 10, 32) for each in archs] == [round(row["flops"] * 1e6) for row in rows]


def projected(module, vertex, x):
    return module.projections[str(vertex)](x)


def test_maps_are_cut_summed_and_concatenated():
    module, x = Module(cell(MIXED), 6, 5), torch.randn(4, 6, 8, 8)
    one, two, three = module.operations
    # Two vertices, the first and the third, lead to the output; 5 channels make 3 and 2.
    assert module.channels == [6, 3, 2, 2, 5]
    first = one(projected(module, 1, x))
    second = two(first[:, :2])
    third = three(second + projected(module, 3, x))
    assert torch.allclose(module(x), torch.cat([first, third], dim=1), atol=1e-6)


def test_module_input_is_added_to_output():
    arch = architecture(["input", POOL, "output"], [[0, 1, 1], [0, 0, 1], [0] * 3])
    module, x = Module(arch, 3, 4), torch.randn(2, 3, 5, 5)
    expected = module.operations[0](projected(module, 1, x)) + projected(module, 2, x)
    assert torch.allclose(module(x), expected, atol=1e-6)


def test_module_without_vertices_is_projection():
    module, x = Module(Architecture(("input", "output"), ((0, 1), (0, 0))), 3, 4), torch.randn(2, 3, 5, 5)
    assert torch.allclose(module(x), projected(module, 1, x))


def test_maps_have_three_resolutions_and_widths():
    network, shapes = BenchmarkNetwork(cell(LINE), 7, channels=4), []
    for block in network.blocks:
        if isinstance(block, Module):
            block.register_forward_hook(lambda layer, given, output: shapes.append(tuple(output.shape[1:])))
    assert network(torch.randn(2, 3, 10, 10)).shape == (2, 7)
    assert shapes == [(4, 10, 10)] * 3 + [(8, 5, 5)] * 3 + [(16, 3, 3)] * 3
