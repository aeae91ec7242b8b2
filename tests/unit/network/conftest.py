"""Architectures for the tests of networks."""

import random

import pytest

from parsec.space.darts import NODES, PRIMITIVES, SLOTS, Genotype, genotype


@pytest.fixture
def random_genotype():
    """A function seed → a random architecture of the space, inputs possibly equal."""

    def cell(rng: random.Random) -> list[tuple[str, int]]:
        return [(rng.choice(PRIMITIVES), rng.randrange(node + 2)) for node in range(NODES) for _ in range(SLOTS)]

    def draw(seed: int) -> Genotype:
        rng = random.Random(seed)
        return genotype(cell(rng), cell(rng))

    return draw


@pytest.fixture
def uniform_genotype():
    """A function primitive → the architecture that uses it on every edge; every input of a node is used somewhere."""

    def draw(primitive: str) -> Genotype:
        cell = [(primitive, source) for node in range(NODES) for source in (node, node + 1)]
        return genotype(cell, cell)

    return draw
