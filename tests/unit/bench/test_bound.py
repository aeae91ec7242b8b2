"""The roofline bound is the longer of moving a step's bytes and doing its operations, at rates that are measured."""

import torch

from parsec.bench import harness
from parsec.bench.harness import Counts, Rates, measure_rates


def test_bound_is_the_slower_of_both():
    rates = Rates(bytes=100.0, operations=1000.0)
    assert rates.bound(Counts(bytes=50, operations=400)) == 0.5
    assert rates.bound(Counts(bytes=50, operations=700)) == 0.7


def test_rates_use_the_fastest_measurement(monkeypatch):
    seen = []

    def stopwatch(step):
        step()
        seen.append(step)
        return 0.25 if len(seen) in (5, 6) else 0.5

    monkeypatch.setattr(harness, "stopwatch_for", lambda device: stopwatch)
    rates = measure_rates(torch.device("cpu"), torch.float32)
    assert rates == Rates(bytes=2 * 4 * 2**25 / 0.25, operations=2 * 2048**3 / 0.25)
    assert len(seen) > 2
