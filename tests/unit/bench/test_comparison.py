"""A comparison: ratios to the reference of the same run, bounds of what torch sees, and verdicts on targets."""

import pytest
import torch

from parsec.bench import harness
from parsec.bench.harness import Comparison, Rates, Target, compare

CPU = torch.device("cpu")
RATES = Rates(bytes=80.0, operations=1e9)


class Steps:
    """Steps that last as long as told, whatever they do, and keep who ran."""

    def __init__(self, monkeypatch, seconds):
        self.seconds, self.ran = seconds, []
        monkeypatch.setattr(harness, "stopwatch_for", lambda device: self.stopwatch)

    def __getitem__(self, name):
        def step():
            self.ran.append(name)
            torch.ones(10).add(1)

        step.contender = name
        return step

    def stopwatch(self, step):
        step()
        return self.seconds[step.contender]


@pytest.fixture
def held(monkeypatch):
    """A function targets, counted_as → the document of slow, fast and best (8, 2 and 1 seconds), and who ran."""

    def hold_one(targets=(), counted_as=None):
        steps = Steps(monkeypatch, {"slow": 8.0, "fast": 2.0, "best": 1.0})
        named = {name: steps[name] for name in steps.seconds}
        one = Comparison("title", "images", 16, "slow", named, 2, targets, counted_as or {})
        return compare(one, CPU, RATES), steps.ran

    return hold_one


def rows(document):
    return {row["contender"]: row for row in document["rows"]}


def test_rates_and_speedups_share_one_run(held):
    document, ran = held()
    assert ran == ["slow", "fast", "best"] * 3, "one run that warms up, then two rounds in turn"
    fast = rows(document)["fast"]
    assert fast["seconds"] == [2.0, 2.0]
    assert (fast["median"], fast["rate"], fast["speedup"]) == (2.0, 8.0, 4.0)
    assert rows(document)["slow"]["speedup"] == 1.0


def test_bound_counts_work_of_the_step(held):
    fast = rows(held()[0])["fast"]
    moved = 4 * 10 + 4 * 20
    assert (fast["bytes"], fast["operations"]) == (moved, 0)
    assert fast["bound"] == pytest.approx(moved / 80.0)
    assert fast["over_bound"] == pytest.approx(2.0 / (moved / 80.0))


def test_uncounted_steps_borrow_or_omit_bound(held):
    document, ran = held(counted_as={"best": "fast", "slow": None})
    assert rows(document)["best"]["bound"] == rows(document)["fast"]["bound"]
    assert "bound" not in rows(document)["slow"]
    assert sorted(ran) == sorted(["slow", "fast", "best"] * 3), "they are warmed up all the same"


def test_only_keeps_reference_and_named_contenders(held):
    targets = Target(("fast", "best"), "speedup", 4.0), Target(("best",), "median", 1.0)
    steps = dict.fromkeys(("slow", "fast", "best"), lambda: None)
    comparison = Comparison("title", "images", 16, "slow", steps, 2, targets, {"fast": "best"})
    assert comparison.only(None) == comparison
    kept = comparison.only("fas")
    assert [*kept.steps] == ["slow", "fast"]
    assert kept.targets == (Target(("fast",), "speedup", 4.0),)
    assert kept.counted_as == {"fast": None}, "what it was counted as is not there"


@pytest.mark.parametrize(
    ("target", "value", "reached"),
    [
        (Target(("slow", "fast"), "speedup", 4.0), 4.0, True),
        (Target(("slow", "fast"), "speedup", 4.1), 4.0, False),
        (Target(("best",), "median", 1.0), 1.0, True),
        (Target(("best",), "median", 0.9), 1.0, False),
        (Target(("fast",), "rate", 7.0), 8.0, True),
        (Target(("fast",), "rate", 9.0), 8.0, False),
    ],
)
def test_target_is_judged_by_fastest_contender(held, target, value, reached):
    outcome = held(targets=(target,))[0]["targets"][0]
    assert outcome["contender"] == ("fast" if "slow" in target.contenders else target.contenders[0])
    assert (outcome["found"], outcome["target"], outcome["reached"]) == (value, target.value, reached)
