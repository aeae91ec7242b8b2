"""How many children a pass through a relaxed network counts for: by multiply-adds, which no machine changes."""

from statistics import fmean

from parsec.config.search import Prior as PriorSettings
from parsec.config.training import Network
from parsec.network.spaces import child_cost, multiply_adds
from parsec.prior.distribution import Prior
from parsec.runtime.rng import generator
from parsec.space.spaces import Architecture, SearchSpace

DRAWN = 256
"""Children of the uniform distribution whose mean cost is one; the same ones at all times."""
FREE = ("none", "max_pool_3x3")
"""Primitives without multiply-adds, of which every space has one."""


def relative_cost(space: SearchSpace, network: Network, classes: int, image_size: int, samples_one_op: bool) -> float:
    """Multiply-adds of a pass through a relaxed network, in those of a child of the uniform distribution.

    Args:
        space: the search space.
        network: size of the network.
        classes: labels of the data set.
        image_size: side of an image, pixels.
        samples_one_op: each edge runs one operation, all equally likely (GDAS), rather than all (DARTS, SNAS).
    """

    def cost(child: Architecture) -> int:
        return child_cost(child, network, classes, image_size).multiply_adds

    edges = multiply_adds(space, network, image_size)
    passed = edges.mean(-1).sum() if samples_one_op else edges.sum()
    return (cost(_free(space)) + float(passed)) / fmean(cost(child) for child in _draws(space))


def _free(space: SearchSpace) -> Architecture:
    """An architecture whose edges cost nothing, so that its cost is that of everything around them."""
    free = next(space.primitives.index(name) for name in FREE if name in space.primitives)
    choices = [free if factor.kind == "operation" else 0 for factor in space.factors("separate")]
    found: Architecture = space.decode(choices, "separate")
    return found


def _draws(space: SearchSpace) -> list[Architecture]:
    uniform = Prior(PriorSettings(), space=space)
    drawn: list[Architecture] = uniform.children(uniform.sample(DRAWN, generator(0, "worth of a child"))).genotypes
    return drawn
