"""Drawing by the inverse cumulative function: nothing outside, nothing impossible, and the right shares."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from parsec.prior.distribution import draw

LARGEST = math.nextafter(1.0, 0.0)
EDGES = [0.0, 5e-324, 2.0**-53, 0.5, 1 - 2.0**-52, LARGEST]


def float64(values):
    return torch.tensor(values, dtype=torch.float64)


def test_draw_inverts_the_cumulative_distribution():
    probabilities = float64([0.25, 0.0, 0.5, 0.25, 0.0])
    uniform = float64([0.0, 0.2499, 0.25, 0.7499, 0.75, LARGEST])
    assert draw(probabilities, uniform).tolist() == [0, 0, 2, 2, 3, 3]


@given(
    st.lists(st.one_of(st.just(-math.inf), st.floats(-1000, 1000)), min_size=1, max_size=40).filter(
        lambda logits: max(logits) > -math.inf
    ),
    st.lists(st.one_of(st.sampled_from(EDGES), st.floats(0, LARGEST)), min_size=1, max_size=8),
)
def test_no_draw_is_outside_or_impossible(logits, uniform):
    probabilities = float64(logits).softmax(0)
    chosen = draw(probabilities, float64(uniform))
    assert bool((chosen < len(logits)).all())
    assert bool((probabilities[chosen] > 0).all())


@pytest.mark.parametrize("excess", [1 - 1e-12, 1 + 1e-12])
def test_unnormalised_rows_keep_extreme_choices(excess):
    """The last uniform number still falls on the last possible choice, and the first on the first."""
    probabilities = float64([0.0, 0.3, 0.7, 0.0, 0.0]) * excess
    assert draw(probabilities, float64([0.0, LARGEST])).tolist() == [1, 2]


def test_each_row_has_its_own_shares():
    probabilities = float64([[[1.0, 0.0], [0.0, 1.0]], [[0.5, 0.5], [0.0, 1.0]]])
    assert draw(probabilities, float64([[0.7, 0.7], [0.7, 0.0]])).tolist() == [[0, 1], [1, 1]]
    assert draw(probabilities[0], float64([[0.1, 0.1], [0.9, 0.9], [0.5, 0.5]])).tolist() == [[0, 1]] * 3


def test_nan_row_gives_a_valid_index():
    assert draw(float64([math.nan] * 3), float64([0.0, 0.9])).tolist() == [0, 0]
