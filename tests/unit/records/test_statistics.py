"""Summaries of repeated runs, against a worked example and scipy's own interval."""

import pytest
from scipy import stats

from parsec.records.statistics import Paired, Summary, holm, paired, summarise


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


def test_paired_differences_are_tested_as_scipy_does():
    ours, theirs = [2.5, 2.7, 2.6, 2.9], [2.6, 3.0, 2.8, 2.85]
    found, expected = paired(ours, theirs), stats.ttest_rel(ours, theirs)
    interval = expected.confidence_interval(0.95)
    assert found == pytest.approx(Paired(4, -0.1375, interval.low, interval.high, expected.pvalue))


def test_differences_without_spread():
    assert paired([2.0, 3.0], [1.0, 2.0]) == Paired(2, 1.0, 1.0, 1.0, None)
    assert paired([2.0], [1.5]) == Paired(1, 0.5, None, None, None)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="zip"):
        paired([1.0], [1.0, 2.0])


def test_holm_is_monotone_and_at_most_one():
    # Worked example: smallest times 3, next times 2, largest times 1, and never below the one before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []
