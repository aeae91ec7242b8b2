"""What ranks tell each other, and how they part."""

import multiprocessing
import os
import signal
import time

import pytest
import torch

from parsec.config.base import Running
from parsec.errors import DeviceError, DivergedError, Interrupted, RankLostError
from parsec.runtime import loop
from parsec.runtime.checkpoint import checkpoint_files
from parsec.runtime.device import acquire_free
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks, _lost_ranks_reported, init_distributed

CPU = torch.device("cpu")
FORK = multiprocessing.get_context("fork")
OFTEN = Running(checkpoint_seconds=0.0, progress_seconds=0.0)
SELDOM = Running(checkpoint_seconds=600.0, progress_seconds=600.0)


def test_single_process_needs_no_group():
    with init_distributed(CPU) as ranks:
        assert ranks is SINGLE_PROCESS
    assert SINGLE_PROCESS.is_main_process
    assert not SINGLE_PROCESS.orphaned
    assert SINGLE_PROCESS.all_reduce_max(3, 0) == (3, 0)
    assert SINGLE_PROCESS.broadcast_state({"a": 1}) == {"a": 1}


def test_collectives_of_two_ranks(on_ranks):
    def talk(ranks):
        state = {"weights": torch.arange(5.0), "step": 7, "rows": [{"a": None}]} if ranks.is_main_process else None
        shared = [ranks.broadcast_state(state), ranks.broadcast_state(None)]
        total = torch.tensor([1.0, 10.0]) * (ranks.rank + 1)
        ranks.all_reduce_sum_(total)
        gathered = ranks.gather(torch.tensor([float(ranks.rank), -torch.inf, 0.1]))
        return (
            ranks.all_reduce_max(ranks.rank, 5 - ranks.rank),
            ranks.all_reduce_max(),
            shared,
            total.tolist(),
            gathered.tolist(),
        )

    for wishes, nothing, (state, none), total, gathered in on_ranks(2, talk):
        assert wishes == (1, 5)
        assert len(nothing) <= 1
        assert torch.equal(state["weights"], torch.arange(5.0))
        assert (state["step"], state["rows"], none) == (7, [{"a": None}], None)
        assert total == [3.0, 30.0]
        assert gathered == [[float(rank), -torch.inf, float(torch.tensor(0.1))] for rank in range(2)]


def test_dead_rank_is_noticed_at_once(on_ranks):
    def part(ranks):
        ranks.all_reduce_max(0)
        if ranks.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        began = time.monotonic()
        with pytest.raises(RankLostError, match=r"another rank .* continues from the last checkpoint") as caught:
            ranks.all_reduce_max(0)
        return time.monotonic() - began, "\n" in str(caught.value)

    (seconds, several_lines), nothing = on_ranks(2, part)
    assert nothing is None
    assert seconds < 50, "the group itself waits for 60"
    assert not several_lines


@pytest.mark.parametrize("said", ["", "[gloo/pair.cc:534] Connection closed by peer. Some detail\nmore"])
def test_any_error_of_a_collective_is_one_line(said):
    ended = r"so this one ends too \((Connection closed by peer)?\); "
    with pytest.raises(RankLostError, match=ended) as caught, _lost_ranks_reported():
        raise RuntimeError(said)
    assert "\n" not in str(caught.value)


def test_lost_launcher_is_noticed():
    assert not Ranks(0, 2, parent=os.getppid()).orphaned
    assert Ranks(0, 2, parent=os.getppid() + 1).orphaned


def test_each_rank_gets_a_device(on_ranks, tmp_path):
    """All of them or none, so that another run is never half waited for."""

    def hold(ranks):
        with acquire_free("abc", tmp_path, ranks, poll_seconds=0.01) as index:
            ranks.all_reduce_max()
            return index

    assert on_ranks(2, hold) == [0, 1]
    with acquire_free("abc", tmp_path):
        assert on_ranks(2, hold) == [1, 2]


def test_waiting_ranks_hold_nothing(on_ranks, tmp_path):
    """While one of two devices is held, the other stays free for whoever needs one alone."""
    reply, waiting = FORK.Queue(), FORK.Event()

    def other_run():
        with acquire_free("ab", tmp_path) as held:
            reply.put(held)
            waiting.wait()
            for _ in range(20):
                with acquire_free("ab", tmp_path, poll_seconds=0.001):
                    pass
                time.sleep(0.05)
        reply.put("had the other one 20 times")

    def hold(ranks):
        waiting.set()
        with acquire_free("ab", tmp_path, ranks, poll_seconds=0.05) as index:
            ranks.all_reduce_max()
            return index

    other = FORK.Process(target=other_run)
    other.start()
    assert reply.get(timeout=60) == 0
    assert on_ranks(2, hold) == [0, 1]
    assert reply.get(timeout=60) == "had the other one 20 times"
    other.join()


def test_more_ranks_than_devices_are_refused(tmp_path):
    with (
        pytest.raises(DeviceError, match="2 ranks need a device each, but there are 1"),
        acquire_free("a", tmp_path, Ranks(0, 2, 0, 2)),
    ):
        pass


class Walk:
    """A trainer whose every step adds what both ranks know."""

    total_steps = 20

    def __init__(self, ranks, on_step=lambda ranks, step: None):
        self.step, self.place, self._ranks, self._on_step = 0, 0.0, ranks, on_step

    def advance(self):
        self._on_step(self._ranks, self.step)
        self.step += 1
        self.place += float(self._ranks.gather(torch.tensor([float(self._ranks.rank + self.step)])).sum())
        return [{"step": self.step, "place": self.place}]

    def flush(self):
        return []

    def check_finite(self):
        if self.place > 150:
            raise DivergedError(f"at step {self.step}")

    def progress(self):
        assert self._ranks.is_main_process
        return f"step {self.step}"

    def state_dict(self):
        assert self._ranks.is_main_process
        return {"step": self.step, "place": self.place}

    def load_state_dict(self, state):
        self.step, self.place = state["step"], state["place"]


def walk(ranks, folder, running=SELDOM, on_step=lambda ranks, step: None, steps=None):
    trainer = Walk(ranks, on_step)
    trainer.total_steps = steps or 10
    try:
        spent = loop.fit(
            trainer, folder if ranks.is_main_process else folder / "never", "aa", running, "walk", CPU, ranks=ranks
        )
    except (Interrupted, DivergedError) as error:
        return str(error).replace(str(folder), ""), trainer.step
    return spent.restarts, trainer.step


@pytest.mark.parametrize("running", [OFTEN, SELDOM])
@pytest.mark.parametrize("stopped", [0, 1])
def test_signal_stops_all_ranks(on_ranks, tmp_path, running, stopped):
    def stop(ranks, step):
        if (ranks.rank, step) == (stopped, 6):
            os.kill(os.getpid(), signal.SIGTERM)

    for message, step in on_ranks(2, lambda ranks: walk(ranks, tmp_path, running, stop)):
        assert step == 7
        assert "stopped by signal 15, saved at step 7 of 10; the same command continues" in message
    assert on_ranks(2, lambda ranks: walk(ranks, tmp_path, running)) == [(1, 10)] * 2
    interrupted = (tmp_path / loop.METRICS).read_bytes()
    on_ranks(2, lambda ranks: walk(ranks, tmp_path / "whole", running))
    assert (tmp_path / "whole" / loop.METRICS).read_bytes() == interrupted
    assert not (tmp_path / "never").exists()
    assert checkpoint_files(tmp_path)


def test_ranks_diverge_together(on_ranks, tmp_path):
    outcomes = on_ranks(2, lambda ranks: walk(ranks, tmp_path, OFTEN, steps=20))
    assert [step for _, step in outcomes] == [12, 12]
    assert all("at step 12" in message for message, _ in outcomes)


def test_cost_counts_every_rank(on_ranks, tmp_path):
    def spend(ranks):
        trainer, folder = Walk(ranks), tmp_path / str(ranks.rank)
        trainer.total_steps = 10
        spent = loop.fit(trainer, folder, "aa", SELDOM, "walk", CPU, ranks=ranks)
        return spent.device_seconds / spent.wall_seconds

    assert on_ranks(2, spend) == pytest.approx([2.0, 2.0])
