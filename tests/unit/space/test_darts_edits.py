"""Edits of DARTS architectures: one change each, every one of them, and none twice."""

from collections import Counter

import numpy as np
import pytest

from parsec.space.darts import draw, neighbours


@pytest.fixture(params=range(5))
def arch(request):
    return draw(np.random.default_rng(request.param)).canonical()


def edges(architecture):
    return [Counter(node) for cell in architecture for node in cell]


def test_neighbours_differ_in_one_edge_part(arch):
    for other in neighbours(arch):
        changed = [(a, b) for a, b in zip(edges(arch), edges(other), strict=True) if a != b]
        assert len(changed) == 1
        here, there = changed[0]
        (before,), (after,) = (here - there).elements(), (there - here).elements()
        assert (before.primitive != after.primitive) + (before.input != after.input) == 1


def test_edits_are_counted_and_reversible(arch):
    around = neighbours(arch)
    twins = sum(len(set(node)) == 1 for cell in arch for node in cell)
    assert len(set(around)) == len(around)
    assert len(around) <= 96 + 40
    assert twins or len(around) > 120
    assert all(arch in neighbours(other) for other in around[::17])
