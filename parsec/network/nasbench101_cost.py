"""What the network of NAS-Bench-101 costs, counted from its shape without building it."""

from parsec.network.cost import Cost, linear_cost, strided, total
from parsec.network.nasbench101 import (
    CHANNELS,
    HALVING,
    KERNELS,
    MODULES,
    POOL,
    STACKS,
    conv_bn_relu_cost,
    module_cost,
    stack_widths,
    vertex_channels,
)
from parsec.space.nasbench101 import Architecture


def network_cost(
    found: Architecture, classes: int, image_size: int, channels: int = CHANNELS, modules: int = MODULES
) -> Cost:
    """Cost of `BenchmarkNetwork` on one image of `image_size` × `image_size` pixels."""
    last = channels * 2 ** (STACKS - 1)
    costs = [conv_bn_relu_cost(3, channels, 3, image_size), linear_cost(last, classes)]
    for stack, widths in enumerate(stack_widths(channels, modules)):
        costs += [module_cost(found, *width, strided(image_size, 2**stack)) for width in widths]
    return total(costs)


def table_flops(found: Architecture, classes: int, image_size: int) -> int:
    """FLOPs by the definition of the subset's column, on one image, at the benchmark's size.

    On top of the multiply-adds of `network_cost` it counts two operations an element of a batch norm, one an element of
    a ReLU, and one a pixel in the window of a max pooling. Sums, the mean and biases count nothing.
    """
    areas = [strided(image_size, 2**stack) ** 2 for stack in range(STACKS)]
    count = 3 * CHANNELS * areas[0]
    for stack, widths in enumerate(stack_widths(CHANNELS, MODULES)):
        halving = HALVING**2 * widths[0][0] * areas[stack] if stack else 0
        count += halving + areas[stack] * sum(_module_elements(found, *width) for width in widths)
    return network_cost(found, classes, image_size).multiply_adds + count


def _module_elements(found: Architecture, inputs: int, outputs: int) -> int:
    """Operations a pixel of the map, beside multiply-adds, of a module."""
    channels = vertex_channels(found, inputs, outputs)
    named = zip(channels[1:-1], found.operations[1:-1], strict=True)
    projected = sum(3 * channels[v] for v in range(1, len(channels)) if found.matrix[0][v])
    return projected + sum(width * (3 if name in KERNELS else POOL**2) for width, name in named)
