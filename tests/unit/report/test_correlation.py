"""Rank correlation of scores with accuracies: failures are counted and never ranked."""

import numpy as np
import pandas as pd
import pytest

from parsec.report.tables.naswot import UNTRAINED, correlation


def scored(scores, indices=None):
    indices = range(len(scores)) if indices is None else indices
    status = ["failed" if score is None else "scored" for score in scores]
    return pd.DataFrame({"index": indices, "score": np.array(scores, dtype=float), "status": status})


def test_tau_counts_concordant_pairs():
    # Five of the six pairs agree, one does not.
    found = correlation(scored([1.0, 2.0, 4.0, 3.0]), np.array([50.0, 60.0, 70.0, 80.0]))
    assert found.tau == pytest.approx(4 / 6)
    assert (found.n, found.failed) == (4, 0)
    assert found.low <= found.tau <= found.high


def test_accuracies_are_looked_up_by_index():
    accuracies = np.array([0.0, 90.0, 0.0, 80.0, 70.0])
    assert correlation(scored([3.0, 2.0, 1.0], [1, 3, 4]), accuracies).tau == pytest.approx(1)


def test_failures_are_counted_and_not_ranked():
    accuracies = np.array([50.0, 60.0, 99.0, 70.0])
    found = correlation(scored([1.0, 2.0, None, 3.0]), accuracies)
    assert (found.n, found.failed, found.tau) == (3, 1, pytest.approx(1))


def test_untrained_architectures_can_be_excluded():
    accuracies = np.array([10.0, 60.0, 70.0, 12.0])
    found = correlation(scored([9.0, 1.0, 2.0, None]), accuracies, above=UNTRAINED)
    assert (found.n, found.failed, found.tau) == (2, 0, pytest.approx(1))


def test_one_architecture_has_no_order():
    with pytest.raises(ValueError, match="too few"):
        correlation(scored([1.0, None]), np.array([50.0, 60.0]))


def test_the_interval_covers_what_is_known():
    random = np.random.default_rng(0)
    truth, noise = random.uniform(20, 90, 300), random.normal(0, 20, 300)
    found = correlation(scored(list(truth + noise)), truth)
    assert found.low < found.tau < found.high
    assert found.high - found.low < 0.15
    assert correlation(scored(list(truth + noise)), truth) == found
