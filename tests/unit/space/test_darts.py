"""The DARTS cell space has the size that the paper's description implies."""

import math

import pytest

from parsec.space.darts import CELLS, EDGES, NODES, PRIMITIVES, SLOTS, edge_index, input_name, is_reduction
from parsec.space.factors import factors, uniform_entropy

CHOICES_PER_CELL = (14 * 21 * 28 * 35) ** 2
"""Each of two slots of node i chooses one of i + 2 inputs and one of 7 primitives."""


def test_the_primitives_are_darts_without_none():
    assert len(PRIMITIVES) == len(set(PRIMITIVES)) == 7
    assert "none" not in PRIMITIVES


def test_edge_indices_enumerate_in_node_order():
    numbers = [edge_index(node, source) for node in range(NODES) for source in range(node + 2)]
    assert numbers == list(range(14))
    assert EDGES == 14


def test_input_names_are_unique():
    names = [input_name(i) for i in range(NODES + 1)]
    assert names == ["c_{k-2}", "c_{k-1}", "node_0", "node_1", "node_2"]


@pytest.mark.parametrize(("cells", "reductions"), [(3, [1, 2]), (5, [1, 3]), (8, [2, 5]), (14, [4, 9]), (20, [6, 13])])
def test_reduction_cells_lie_at_the_thirds(cells, reductions):
    assert [cell for cell in range(cells) if is_reduction(cell, cells)] == reductions


def test_factors_cover_every_slot_once():
    all_factors = factors("separate")
    assert len(all_factors) == 32 == len(set(all_factors))
    assert sum(len(factor.choices) for factor in all_factors) == 168
    assert all(len(set(factor.choices)) == len(factor.choices) for factor in all_factors)
    slots = [(factor.cell, factor.node, factor.slot) for factor in all_factors]
    assert slots == sorted(slots, key=lambda s: (CELLS.index(s[0]), *s[1:]))
    assert len(set(slots)) == len(CELLS) * NODES * SLOTS


def test_choices_per_cell_match_the_count():
    per_cell = math.prod(len(factor.choices) for factor in factors("separate") if factor.cell == "normal")
    assert per_cell == CHOICES_PER_CELL
    assert per_cell == pytest.approx(8.3e10, rel=1e-2)


def test_uniform_entropy_is_log_space_size():
    assert uniform_entropy("separate") == pytest.approx(2 * math.log(CHOICES_PER_CELL), abs=1e-12)
    assert uniform_entropy("separate") == pytest.approx(50.285, abs=5e-4)
