"""What saving costs: counted, and held to a small share of the time where it is slow."""

import functools
import itertools

import pytest
import torch

from parsec.config.base import Running
from parsec.runtime import loop
from parsec.runtime.checkpoint import Checkpoints
from parsec.runtime.distributed import SINGLE_PROCESS
from parsec.runtime.loop import RunCost
from parsec.runtime.system import EnergyMeter


class Still:
    """A trainer that does nothing, in no time."""

    step = 0
    total_steps = 40

    def advance(self):
        self.step += 1
        return []

    def flush(self):
        return []

    def check_finite(self):
        pass

    def progress(self):
        return ""

    def state_dict(self):
        return {"step": self.step}

    def load_state_dict(self, state):
        self.step = state["step"]


@pytest.fixture
def saves(monkeypatch):
    """A clock that advances by one second per step and by a set time per save; the steps that were saved."""
    now, cost, saved = [0.0], [0.0], []

    def slow(self, step, state):
        now[0] += cost[0]
        saved.append(step)

    def advance(self):
        now[0] += 1.0
        self.step += 1
        return []

    monkeypatch.setattr(Checkpoints, "save", slow)
    monkeypatch.setattr(Still, "advance", advance)
    monkeypatch.setattr(loop.time, "monotonic", lambda: now[0])

    def run(tmp_path, asked, seconds):
        cost[0] = seconds
        running = Running(checkpoint_seconds=asked, progress_seconds=1e9)
        return loop.fit(Still(), tmp_path, "aa", running, "still", torch.device("cpu")), saved

    return run


@pytest.mark.parametrize(
    ("asked", "seconds", "expected"),
    [
        (10.0, 0.1, [10, 20, 30, 40]),
        (10.0, 0.5, [10, 35, 40]),
        (0.0, 0.5, list(range(1, 41))),
    ],
)
def test_slow_saves_are_further_apart(saves, tmp_path, asked, seconds, expected):
    spent, saved = saves(tmp_path, asked, seconds)
    assert saved == expected
    assert spent.saving_seconds == pytest.approx(seconds * len(expected))
    assert spent.wall_seconds == pytest.approx(40 + seconds * len(expected))


def test_save_interval_has_a_limit():
    running = Running(checkpoint_seconds=300.0, progress_seconds=1.0)
    session = loop._Session(Still(), None, running, "still", torch.device("cpu"), "", SINGLE_PROCESS)
    session._last_save_seconds = 1000.0
    assert session._save_interval() == loop.LONGEST_WAIT


def test_saving_seconds_add_up(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(ticks)))

    def run():
        return loop.fit(Still(), tmp_path, "aa", Running(checkpoint_seconds=0.0), "still", torch.device("cpu"))

    first = run()
    assert 0 < first.saving_seconds <= first.wall_seconds
    again = run()
    assert first.saving_seconds >= again.saving_seconds > 0.5 * first.saving_seconds
    assert RunCost(*list(again)[:5]).saving_seconds == 0.0


def test_energy_counters_may_wrap_between_saves(tmp_path, monkeypatch):
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "max_energy_range_uj").write_text("10000000\n")
    (package / "energy_uj").write_text("0\n")

    def advance(self):
        self.step += 1
        (package / "energy_uj").write_text(f"{7_000_000 * self.step % 10_000_000}\n")
        return []

    monkeypatch.setattr(Still, "advance", advance)
    monkeypatch.setattr(loop, "EnergyMeter", functools.partial(EnergyMeter, powercap=tmp_path))
    running = Running(checkpoint_seconds=600.0, progress_seconds=0.0)
    spent = loop.fit(Still(), tmp_path / "state", "aa", running, "still", torch.device("cpu"))
    assert spent.energy_joules == pytest.approx(7.0 * 40)
