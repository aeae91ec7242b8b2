"""The sample efficiency gain: random search against simulation, and what is not known is not said."""

import numpy as np
import pytest

from parsec.report import sample_efficiency
from parsec.report.sample_efficiency import Target, gain, interval, needed, random_expected, saved, targets

SIZE, GOOD, BUDGET = 60, 5, 8


@pytest.fixture(scope="module")
def orders():
    """Many random searches: the rank of the architectures in the order of training, 0 the best."""
    return np.random.default_rng(0).permuted(np.tile(np.arange(SIZE), (20_000, 1)), axis=1)


@pytest.fixture(scope="module")
def times(orders):
    return (orders < GOOD).argmax(1) + 1


def test_random_search_is_exact(times):
    needed, within = random_expected(Target("", 0.0, GOOD), SIZE, BUDGET)
    assert needed.value == pytest.approx(times.mean(), rel=0.02)
    assert within.value == pytest.approx(np.minimum(times, BUDGET).mean(), rel=0.02)
    missed = sample_efficiency.missed(SIZE, GOOD, BUDGET)
    assert missed == pytest.approx([(times > count).mean() for count in range(BUDGET + 1)], abs=0.01)
    assert sample_efficiency.needed_within(SIZE, GOOD, SIZE) == pytest.approx(needed.value)


def test_random_search_best_is_exact(orders):
    best = orders[:, :BUDGET].min(1)
    shares = sample_efficiency.chosen(SIZE, BUDGET)
    assert shares.sum() == pytest.approx(1)
    assert shares == pytest.approx(np.bincount(best, minlength=SIZE) / len(best), abs=0.01)
    accuracies = 90.0 - np.arange(SIZE)
    for share in (0.2, 0.5, 0.8):
        accuracy = sample_efficiency.best_so_far(accuracies, BUDGET, share)
        assert accuracy == np.quantile(90.0 - best, share, method="inverted_cdf")


def test_random_search_has_unit_gain(times):
    result = gain(times[:2000].astype(float), Target("", 0.0, GOOD), SIZE, SIZE)
    assert not result.bounded
    assert result.gain.low < 1 < result.gain.high
    assert result.median == np.median(times[:2000])


def test_missed_target_yields_only_a_bound():
    trained = np.array([[1.0, 9.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    target = Target("best", 9.0, 1)
    times = needed(trained, target)
    assert times.tolist() == [2, np.inf, np.inf]
    result = gain(times, target, 99, 4)
    assert result.bounded
    assert result.median is None
    assert result.reached.value == pytest.approx(1 / 3)
    assert result.gain.value == pytest.approx(50 / (10 / 3))
    assert result.within.value == pytest.approx(sample_efficiency.needed_within(99, 1, 4) / (10 / 3))


def test_qualities_count_equal_accuracies():
    accuracies = np.concatenate([[95.0, 95.0], np.arange(998) / 20])
    thresholds = {target.name: (target.accuracy, target.good) for target in targets(accuracies)}
    assert thresholds == {"top 1 %": (49.5, 10), "top 0.1 %": (95.0, 2), "best 10": (49.5, 10), "best": (95.0, 2)}


def test_interval_has_nominal_coverage():
    rng = np.random.default_rng(0)
    drawn = [interval(rng.exponential(size=60)) for _ in range(200)]
    assert 0.88 <= np.mean([each.low <= 1.0 <= each.high for each in drawn]) <= 0.99


def test_sampled_space_gain_covers_true_gain():
    """The space: accuracies uniform in [0, 1). The search: a geometric number, 5 times as fast as random search."""
    rng, size, good, faster = np.random.default_rng(0), 2000, 10, 5
    covered, claimed, ratios = 0, 0, []
    for _ in range(150):
        share = 1.0 - np.sort(rng.random(size))[-good]
        times = rng.geometric(min(1.0, faster * share), size=100).astype(float)
        estimate = gain(times, Target("", 1.0 - share, good), size, size, sampled=True).gain
        covered += estimate.low <= faster <= estimate.high
        known = gain(times, Target("", 1.0 - share, good), size, size).gain
        claimed += known.low <= faster <= known.high
        ratios.append((estimate.high - estimate.low) / (known.high - known.low))
    assert 0.91 <= covered / 150 <= 0.99
    assert claimed / 150 < 0.6, "with the threshold taken as known the interval is far too short"
    assert min(ratios) > 1.0


def test_uncertain_share_random_search_is_exact():
    shares = sample_efficiency.shares(999, 10, 100_000)
    assert shares.mean() == pytest.approx(10 / 1000, rel=0.01)
    assert (1 / shares).mean() == pytest.approx(999 / 9, rel=0.01)  # E[1/p] of that Beta
    needed, _ = random_expected(Target("", 0.0, 10), 999, 20, sampled=True)
    assert needed.value == pytest.approx(1000 / 10)
    assert needed.draws.mean() == pytest.approx(999 / 9, rel=0.03)
    drawn = np.random.default_rng(1).geometric(0.03, size=50_000)
    within = sample_efficiency.needed_within_of_share(np.array([0.03]), 20)
    assert within[0] == pytest.approx(np.minimum(drawn, 20).mean(), rel=0.01)


def test_pools_share_sampling_uncertainty():
    target, times = Target("", 0.0, 10), np.full(20, 4.0)
    one, twice = (gain(counts, target, 999, 100, sampled=True).gain for counts in (times, 2 * times))
    assert tuple(one) == pytest.approx([2 * end for end in twice])
    fewer = saved(times, target, 999, 100, sampled=True)
    assert fewer.low < fewer.value < fewer.high < 96
