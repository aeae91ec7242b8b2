"""Summaries of repeated runs, against a worked example and scipy's own interval."""

import pytest
from scipy import stats

from parsec.records.statistics import Summary, summarise


def test_worked_example():
    # Three values 1, 2, 3: deviation 1, t(2; 0.975) = 4.3027, half width 4.3027 / √3.
    assert summarise([1.0, 2.0, 3.0]) == pytest.approx(Summary(3, 2.0, 1.0, 2 - 2.484138, 2 + 2.484138), abs=1e-5)


def test_interval_is_that_of_scipy():
    values = [2.50, 2.71, 2.62, 2.85]
    found = summarise(values)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 3, stats.tmean(values), stats.sem(values)))


def test_one_value_has_no_spread():
    assert summarise([2.5]) == Summary(1, 2.5, None, None, None)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_values_that_cannot_be_summarised(values):
    with pytest.raises(ValueError, match="finite values"):
        summarise(values)
