"""Summaries of repeated runs, against a worked example and scipy's own interval."""

import numpy as np
import pytest
from scipy import stats

from parsec.stats import (
    Estimate,
    Paired,
    Summary,
    bootstrap_ends,
    difference_interval,
    holm,
    paired,
    summarise,
    summarise_clusters,
)


def test_worked_example():
    # Three values 1, 2, 3: deviation 1, t(2; 0.975) = 4.3027, half width 4.3027 / √3.
    assert summarise([1.0, 2.0, 3.0]) == pytest.approx(Summary(3, 2.0, 1.0, 2 - 2.484138, 2 + 2.484138), abs=1e-5)


def test_interval_matches_scipy():
    values = [2.50, 2.71, 2.62, 2.85]
    summary = summarise(values)
    assert (summary.low, summary.high) == pytest.approx(
        stats.t.interval(0.95, 3, stats.tmean(values), stats.sem(values))
    )


def test_one_value_has_no_spread():
    assert summarise([2.5]) == Summary(1, 2.5, None, None, None)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_values_that_cannot_be_summarised(values):
    with pytest.raises(ValueError, match="finite values"):
        summarise(values)


def test_clusters_are_summarised_by_their_means():
    summary = summarise_clusters([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]])
    assert (summary.n, summary.mean, summary.std) == (6, 4.0, pytest.approx(2.3664319))
    assert (summary.low, summary.high) == pytest.approx(stats.t.interval(0.95, 1, 4.0, stats.sem([2.0, 6.0])))
    assert summarise_clusters([[1.0, 2.0, 3.0]]) == Summary(3, 2.0, 1.0, None, None)


def test_coverage_of_cluster_intervals():
    """Four draws that vary as much as repeats do: an interval over the repeats alone would cover in a few cases."""
    rng, covered, naive = np.random.default_rng(0), 0, 0
    for _ in range(400):
        clusters = [rng.normal(rng.normal(), 1.0, 50).tolist() for _ in range(4)]
        summary, pooled = summarise_clusters(clusters), summarise([value for cluster in clusters for value in cluster])
        covered += summary.low <= 0.0 <= summary.high
        naive += pooled.low <= 0.0 <= pooled.high
    assert 0.92 <= covered / 400 <= 0.98
    assert naive / 400 < 0.5


def test_difference_matches_welch():
    ours, theirs = [2.5, 2.7, 2.6, 2.9], [2.6, 3.0, 2.8]
    estimates = (Estimate.from_interval(s.low, s.high, s.n) for s in map(summarise, (ours, theirs)))
    expected = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert difference_interval(*estimates) == pytest.approx((expected.low, expected.high))
    assert difference_interval(Estimate(2.0, 0.0, 3), Estimate(1.5, 0.0, 3)) == (0.5, 0.5)


def test_paired_matches_scipy():
    ours, theirs = [2.5, 2.7, 2.6, 2.9], [2.6, 3.0, 2.8, 2.85]
    result, expected = paired(ours, theirs), stats.ttest_rel(ours, theirs)
    interval = expected.confidence_interval(0.95)
    assert result == pytest.approx(Paired(4, -0.1375, interval.low, interval.high, expected.pvalue))


def test_differences_without_spread():
    assert paired([2.0, 3.0], [1.0, 2.0]) == Paired(2, 1.0, 1.0, 1.0, None)
    assert paired([2.0], [1.5]) == Paired(1, 0.5, None, None, None)


def test_pairs_must_match():
    with pytest.raises(ValueError, match="zip"):
        paired([1.0], [1.0, 2.0])


def test_holm_worked_example():
    # Worked example: smallest times 3, next times 2, largest times 1, and never below the one before.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_bootstrap_near_scipys_percentiles():
    values = np.random.default_rng(0).exponential(size=200)
    ends = bootstrap_ends(lambda indices: values[indices].mean(1), 200, 4000)
    expected = stats.bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=1).confidence_interval
    assert ends == pytest.approx(tuple(expected), abs=0.02)


def test_bootstrap_resamples_depend_on_seed():
    values = np.arange(50.0)
    first, again, other = (bootstrap_ends(lambda i: values[i].mean(1), 50, 100, seed) for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


def test_bootstrap_of_several_statistics():
    values = np.arange(50.0)
    both = bootstrap_ends(lambda i: np.stack([values[i].mean(1), -values[i].mean(1)], 1), 50, 100)
    assert both[:, 0].tolist() == bootstrap_ends(lambda i: values[i].mean(1), 50, 100).tolist()
    assert both[:, 1].tolist() == pytest.approx((-both[::-1, 0]).tolist())


def test_bootstrap_leaves_nan_out():
    values, means = np.arange(50.0), []

    def mean_of_most(indices):
        means.extend(values[indices].mean(1))
        return np.where(np.arange(100) < 90, means, np.nan)

    ends = bootstrap_ends(mean_of_most, 50, 100)
    assert ends == pytest.approx(np.quantile(means[:90], [0.025, 0.975]))
