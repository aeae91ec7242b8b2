"""The loop: kills, signals and divergence lose nothing, and the bytes are those of an undisturbed run."""

import itertools
import json
import multiprocessing
import os
import random
import signal
import time

import pytest
import torch

from parsec.config.base import Running
from parsec.errors import CheckpointError, DivergedError, Interrupted
from parsec.runtime import loop
from parsec.runtime.checkpoint import Checkpoints, checkpoint_files
from parsec.runtime.outputs import remove_state
from parsec.runtime.rng import Streams

CPU = torch.device("cpu")
EVERY_STEP = Running(checkpoint_seconds=0.0, progress_seconds=0.0)
SELDOM = Running(checkpoint_seconds=600.0, progress_seconds=600.0)
FORK = multiprocessing.get_context("fork")


class Walk:
    """A trainer whose every step depends on all steps before and on random draws."""

    def __init__(self, total_steps=20, on_step=None):
        self.step, self.total_steps = 0, total_steps
        self.place = torch.zeros(4, dtype=torch.float64)
        self.streams = Streams(0, CPU)
        self.on_step = on_step or (lambda step: None)

    def advance(self):
        self.place = self.place * 0.99 + torch.randn(4, generator=self.streams.cpu("walk"), dtype=torch.float64)
        self.step += 1
        self.on_step(self.step)
        return [{"step": self.step, "place": self.place.tolist()}]

    def flush(self):
        return []

    def check_finite(self):
        if not self.place.isfinite().all():
            raise DivergedError(f"the place is not finite at step {self.step}")

    def progress(self):
        return f"step {self.step}"

    def state_dict(self):
        return {"step": self.step, "place": self.place, "streams": self.streams.state_dict()}

    def load_state_dict(self, state):
        self.step, self.place = state["step"], state["place"]
        self.streams.load_state_dict(state["streams"])


class Late(Walk):
    """The same walk with rows that are kept back until four have gathered, or until they are asked for."""

    def __init__(self, *given, **changes):
        super().__init__(*given, **changes)
        self.kept = []

    def advance(self):
        self.kept += super().advance()
        return self.flush() if len(self.kept) == 4 else []

    def flush(self):
        rows, self.kept = self.kept, []
        return rows

    def state_dict(self):
        assert not self.kept, "a checkpoint would lose these rows"
        return super().state_dict()


def run(trainer, folder, running=EVERY_STEP, fingerprint="aa"):
    return loop.fit(trainer, folder, fingerprint, running, "walk", CPU)


def ending(folder):
    """What a run leaves: its metrics and its finished state, as bytes."""
    with Checkpoints(folder, "aa") as store:
        trainer = store.load()["trainer"]
    place = trainer["place"].numpy().tobytes()
    return trainer["step"], place, trainer["streams"]["cpu"]["walk"].tolist(), (folder / loop.METRICS).read_bytes()


def reference(tmp_path, total_steps=20):
    run(Walk(total_steps), tmp_path / "reference", SELDOM)
    return ending(tmp_path / "reference")


def test_run_leaves_the_final_state(tmp_path):
    spent = run(Walk(), tmp_path / "state")
    rows = [json.loads(line) for line in (tmp_path / "state" / loop.METRICS).read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 21))
    assert ending(tmp_path / "state") == reference(tmp_path)
    assert spent.restarts == 0


def test_peak_memory_covers_all_attempts(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "peak_memory_bytes", lambda device: 7)
    with pytest.raises(Interrupted):
        run(Walk(on_step=stop_at(3)), tmp_path / "state")
    monkeypatch.setattr(loop, "peak_memory_bytes", lambda device: 5)
    assert run(Walk(), tmp_path / "state").peak_memory_bytes == 7


def kill_self():
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(place, save_number):
    """Make this process kill itself before, inside or after its nth save."""
    saves = itertools.count(1)
    original, write = Checkpoints.save, torch.save

    def save(self, step, state):
        if next(saves) < save_number:
            return original(self, step, state)
        if place == "inside":
            torch.save = lambda document, file: (write(document, file), kill_self())
        if place != "before":
            original(self, step, state)
        return kill_self()

    Checkpoints.save = save


@pytest.mark.parametrize("place", ["before", "inside", "after"])
@pytest.mark.parametrize("save_number", [1, 5])
def test_kill_around_a_save(tmp_path, place, save_number):
    def child():
        die_at(place, save_number)
        run(Walk(), tmp_path / "state")

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    run(Walk(), tmp_path / "state")
    assert ending(tmp_path / "state") == reference(tmp_path)


def test_random_kills_change_nothing(tmp_path):
    total, delays, kills = 3000, random.Random(0), 0
    often = Running(checkpoint_seconds=0.01, progress_seconds=600.0)

    def child():
        done = itertools.count()
        # It slows down before it could end by itself, so that it is always killed.
        walk = Walk(total, on_step=lambda step: time.sleep(0.0002 if next(done) < 200 else 0.05))
        run(walk, tmp_path / "state", often)

    for attempt in range(12):
        known = checkpoint_files(tmp_path / "state")
        process = FORK.Process(target=child)
        process.start()
        # Every other attempt gets somewhere, however busy the machine is; the rest die anywhere, starting up included.
        while attempt % 2 and process.is_alive() and checkpoint_files(tmp_path / "state") == known:
            time.sleep(0.001)
        process.join(delays.uniform(0.0, 0.05 if attempt % 2 else 0.15))
        process.kill()
        process.join()
        kills += process.exitcode == -signal.SIGKILL
    assert kills == 12
    spent = run(Walk(total), tmp_path / "state", SELDOM)
    assert spent.restarts >= 3
    assert ending(tmp_path / "state") == reference(tmp_path, total)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_stop_signal_saves_and_continues(tmp_path, number):
    trainer = Walk(on_step=lambda step: os.kill(os.getpid(), number) if step == 7 else None)
    with pytest.raises(Interrupted, match="saved at step 7 of 20; the same command continues") as caught:
        run(trainer, tmp_path / "state", SELDOM)
    assert caught.value.exit_code == 128 + number
    second = Walk(on_step=lambda step: step > 7 or pytest.fail("a saved step was done again"))
    assert run(second, tmp_path / "state", SELDOM).restarts == 1
    assert ending(tmp_path / "state") == reference(tmp_path)


@pytest.mark.parametrize("running", [EVERY_STEP, SELDOM])
def test_held_rows_precede_a_checkpoint(tmp_path, running):
    trainer = Late(on_step=lambda step: os.kill(os.getpid(), signal.SIGTERM) if step == 6 else None)
    with pytest.raises(Interrupted, match="saved at step 6"):
        run(trainer, tmp_path / "state", running)
    run(Late(), tmp_path / "state", running)
    assert ending(tmp_path / "state") == reference(tmp_path)


def test_rows_before_a_divergence_are_kept(tmp_path):
    """They show how it came to that."""
    trainer = Late()

    def spoil(step):
        if step == 6:
            trainer.place = trainer.place * float("nan")

    trainer.on_step = spoil
    with pytest.raises(DivergedError):
        run(trainer, tmp_path / "state", SELDOM)
    rows = [json.loads(line) for line in (tmp_path / "state" / loop.METRICS).read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 10))
    assert rows[-1]["place"] == [None] * 4


def test_finished_run_is_not_repeated(tmp_path, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "monotonic", lambda: float(next(ticks)))
    first = run(Walk(), tmp_path / "state")
    again = run(Walk(on_step=lambda step: pytest.fail("advanced")), tmp_path / "state")
    assert again.restarts == 1
    assert again.wall_seconds >= 0.9 * first.wall_seconds >= 0.9 * 20


def test_saves_no_more_often_than_asked(tmp_path, monkeypatch):
    saved = []
    original = Checkpoints.save
    monkeypatch.setattr(
        Checkpoints, "save", lambda self, step, state: (saved.append(step), original(self, step, state))
    )
    run(Walk(), tmp_path / "seldom", SELDOM)
    assert saved == [20]
    saved.clear()
    run(Walk(), tmp_path / "often", EVERY_STEP)
    assert saved == list(range(1, 21))


def test_divergence_keeps_last_good_checkpoint(tmp_path):
    trainer = Walk()

    def spoil(step):
        if step == 6:
            trainer.place = trainer.place * float("nan")

    trainer.on_step = spoil
    with pytest.raises(
        DivergedError, match=r"step 6 \(settings aa\); the last good checkpoint is .*0005\.pt"
    ) as caught:
        run(trainer, tmp_path / "state")
    assert caught.value.exit_code == 3
    run(Walk(), tmp_path / "state")
    assert ending(tmp_path / "state") == reference(tmp_path)


def test_other_device_or_settings_refused(tmp_path):
    run(Walk(), tmp_path / "state")
    with pytest.raises(CheckpointError, match=r"begun on cpu.*compute\.device"):
        loop.fit(Walk(), tmp_path / "state", "aa", SELDOM, "walk", torch.device("cuda"))
    with pytest.raises(CheckpointError, match="settings aa"):
        run(Walk(), tmp_path / "state", fingerprint="bb")
    assert len(checkpoint_files(tmp_path / "state")) == 2


def test_progress_at_first_and_last_step(tmp_path, caplog, monkeypatch):
    ticks = itertools.count()
    monkeypatch.setattr(loop.time, "monotonic", lambda: 1e-6 * next(ticks))
    with caplog.at_level("INFO", logger="parsec"):
        run(Walk(), tmp_path / "state", SELDOM)
    assert [record.getMessage() for record in caplog.records] == [
        "walk  step 1  left 0:00:00",
        "walk  step 20  left 0:00:00",
    ]


def test_time_left_comes_from_the_speed(tmp_path, caplog, monkeypatch):
    steps = [0]
    monkeypatch.setattr(loop.time, "monotonic", lambda: 10.0 * steps[-1])
    with caplog.at_level("INFO", logger="parsec"):
        run(Walk(3, on_step=steps.append), tmp_path / "state", Running(checkpoint_seconds=1e6, progress_seconds=0.0))
    assert "step 1  left 0:00:20" in caplog.text
    assert "step 2  left 0:00:10" in caplog.text


@pytest.mark.parametrize("after", [1, 2])
def test_kill_while_finishing_loses_nothing(tmp_path, after):
    run(Walk(), tmp_path / "state")
    removed, unlink = itertools.count(1), loop.Path.unlink

    def child():
        loop.Path.unlink = lambda path, **options: (unlink(path, **options), next(removed) == after and kill_self())
        remove_state(tmp_path / "state")

    process = FORK.Process(target=child)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(checkpoint_files(tmp_path / "state")) == 2 - after
    spent = run(Walk(), tmp_path / "state")
    assert spent.restarts == 2 - after
    assert ending(tmp_path / "state") == reference(tmp_path)


def test_finish_removes_the_state(tmp_path):
    run(Walk(), tmp_path / "state")
    assert checkpoint_files(tmp_path / "state")
    remove_state(tmp_path / "state")
    remove_state(tmp_path / "state")
    assert not (tmp_path / "state").exists()


def stop_at(step):
    return lambda reached: os.kill(os.getpid(), signal.SIGTERM) if reached == step else None


def test_code_of_every_attempt_is_named(tmp_path):
    with pytest.raises(Interrupted):
        loop.fit(Walk(on_step=stop_at(3)), tmp_path / "state", "aa", EVERY_STEP, "walk", CPU, "old code")
    spent = loop.fit(Walk(), tmp_path / "state", "aa", EVERY_STEP, "walk", CPU, "new code")
    assert spent.code_fingerprints == ("old code", "new code")


def test_unreadable_state_is_one_line(tmp_path):
    class Renamed(Walk):
        def load_state_dict(self, state):
            self.place = state["position"]

    with pytest.raises(Interrupted):
        run(Walk(on_step=stop_at(3)), tmp_path / "state")
    with pytest.raises(CheckpointError, match="does not fit this version of the code"):
        run(Renamed(), tmp_path / "state")
    assert run(Walk(), tmp_path / "state").restarts == 1
