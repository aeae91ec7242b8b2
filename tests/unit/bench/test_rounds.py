"""Steps are timed in turn, so that a machine that changes its speed does so for all of them."""

import pytest
import torch

from parsec.bench import harness
from parsec.bench.harness import Timing, in_turn, stopwatch_for


class Clock:
    """A clock that only steps move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def step(self, name, seconds, calls):
        def run():
            calls.append(name)
            self.now += seconds.pop(0)

        return run


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(harness.time, "perf_counter", clock)
    return clock


def test_steps_alternate_with_separate_timings(clock):
    calls = []
    steps = {"a": clock.step("a", [1.0, 5.0, 3.0], calls), "b": clock.step("b", [2.0, 2.5, 9.0], calls)}
    times = in_turn(steps, 3, stopwatch_for(torch.device("cpu")))
    assert calls == ["a", "b"] * 3
    assert times == {"a": Timing((1.0, 5.0, 3.0)), "b": Timing((2.0, 2.5, 9.0))}


def test_median_and_spread():
    timing = Timing((4.0, 1.0, 2.0, 10.0))
    assert timing.median == 3.0
    assert timing.spread == (1.0, 10.0)


def test_speedup_is_computed_per_round():
    """A machine that is three times as slow from the second round on changes no ratio."""
    reference, ours = Timing((4.0, 12.0, 12.0)), Timing((2.0, 6.0, 6.0))
    assert ours.speedup(reference) == 2.0
    assert Timing((2.0, 3.0, 12.0)).speedup(reference) == 2.0
