"""From the probabilities of all edges to an architecture."""

import pytest

from parsec.space.darts import CANDIDATES, EDGES, edge_index
from parsec.space.factors import decode
from parsec.space.nasbench201 import OPERATIONS
from parsec.space.spaces import derive_darts, derive_nasbench201, derive_pairs

UNIFORM = [[1 / 8] * 8 for _ in range(2 * EDGES)]


def row(**probabilities):
    left = 1 - sum(probabilities.values())
    return [probabilities.get(name, left if name == "none" else 0.0) for name in CANDIDATES]


def test_derivation_keeps_two_strongest_edges_ordered():
    rows = [*UNIFORM]
    rows[edge_index(2, 0)] = row(sep_conv_3x3=0.3, skip_connect=0.2)
    rows[edge_index(2, 3)] = row(dil_conv_5x5=0.6)
    normal, reduce = derive_darts(rows)
    assert normal[2] == (("dil_conv_5x5", 3), ("sep_conv_3x3", 0))
    assert reduce[2] == (("max_pool_3x3", 0), ("max_pool_3x3", 1))


def test_none_weakens_edges_but_never_wins():
    rows = [*UNIFORM]
    rows[0] = row(none=0.95, skip_connect=0.05)
    rows[1] = row(none=0.9, max_pool_3x3=0.1)
    assert derive_darts(rows).normal[0] == (("max_pool_3x3", 1), ("skip_connect", 0))


def test_pairs_may_share_an_input():
    rows = [*UNIFORM]
    rows[edge_index(1, 2)] = row(none=0.4, sep_conv_5x5=0.35, skip_connect=0.25)
    rows[edge_index(1, 0)] = row(none=0.8, max_pool_3x3=0.2)
    normal, reduce = derive_pairs(rows)
    assert normal[1] == (("sep_conv_5x5", 2), ("skip_connect", 2))
    assert reduce[1] == (("max_pool_3x3", 0), ("avg_pool_3x3", 0))
    assert derive_darts(rows).normal[1] == (("sep_conv_5x5", 2), ("max_pool_3x3", 0))


def test_nasbench201_takes_the_argmax_none_included():
    rows = [[0.1] * 5 for _ in range(6)]
    for index, row_ in enumerate(rows):
        row_[index % 5] = 0.6
    assert derive_nasbench201(rows).operations == (*OPERATIONS, OPERATIONS[0])


def test_choices_of_edges_are_no_architecture():
    with pytest.raises(ValueError, match="derive one"):
        decode([0] * 28, "edges")
