"""Driving a trainer from its last checkpoint to its end, through kills, stop signals and diverging losses."""

import signal
import threading
import time
from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NamedTuple, Protocol, Self

import torch

from parsec.config.base import Running
from parsec.errors import CheckpointError, DivergedError, Interrupted
from parsec.runtime.checkpoint import Store, checkpoint_files, opened
from parsec.runtime.device import peak_memory_bytes
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.logs import logger
from parsec.runtime.outputs import METRICS as METRICS
from parsec.runtime.system import Meter

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Notes the first SIGTERM, SIGUSR1 or SIGINT of its block in `signal_number`.

    A second SIGINT raises KeyboardInterrupt. Outside the main thread Python allows no handlers, so nothing is noted.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is None:
            self.signal_number = number


class Trainer(Protocol):
    """What the loop can drive. All state that decides the next step is in `state_dict`."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def total_steps(self) -> int:
        """Steps to do."""

    def advance(self) -> list[dict[str, Any]]:
        """Do one step; rows of metrics that are due."""

    def flush(self) -> list[dict[str, Any]]:
        """Rows of the steps so far that `advance` has kept back, so as not to wait for the device; it waits."""

    def check_finite(self) -> None:
        """Raise DivergedError if a loss so far or the state is no longer finite."""

    def progress(self) -> str:
        """Where training stands, for one line."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text in dictionaries, lists and tuples."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; its tensors are on the CPU."""


class RowTrainer(ABC):
    """A trainer without weights: every step makes rows that follow from its number, so that the number is its state."""

    step = 0

    @property
    @abstractmethod
    def total_steps(self) -> int:
        """Steps to do."""

    @abstractmethod
    def advance(self) -> list[dict[str, Any]]:
        """Do one step; its rows."""

    @abstractmethod
    def progress(self) -> str:
        """Where the work is, for one line."""

    def flush(self) -> list[dict[str, Any]]:
        """No row is kept back."""
        return []

    def check_finite(self) -> None:
        """Rows may lack a number; that ends no run."""
        return

    def state_dict(self) -> dict[str, Any]:
        """Steps done; the rows are kept by the loop."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the steps done."""
        self.step = state["step"]


class RunCost(NamedTuple):
    """Cost of a run over all attempts; work that a kill threw away before it was saved is not in it."""

    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    restarts: int = 0
    peak_memory_bytes: int = 0
    code_fingerprints: tuple[str, ...] = ()
    """Code of all attempts, in order, each once."""
    saving_seconds: float = 0.0
    """What of the wall time went into saving checkpoints."""
    energy_joules: float | None = None
    """Of the whole processors and the GPU, other work on them included; None if an attempt could not read it."""


SAVING_PAYS_AFTER = 50
"""Work lasts at least so many times as long as the save before it: 2 % of the time at most goes into saving."""
LONGEST_WAIT = 3600.0
"""Seconds of work that a slow disk may put at risk; a save that takes longer than 72 s may cost more than 2 %."""


class _Pending(NamedTuple):
    """What is to be done between two steps; numbers, because ranks agree on them."""

    signal: int
    """The signal to stop on, 0 for none."""
    progress: int
    checkpoint: int


def fit(
    trainer: Trainer,
    state_folder: Path,
    fingerprint: str,
    running: Running,
    label: str,
    device: torch.device,
    code: str = "",
    ranks: Ranks = SINGLE_PROCESS,
) -> RunCost:
    """Resume `trainer` from `state_folder`, advance it to its end and leave a checkpoint of the finished state.

    Rows of metrics go to `metrics.jsonl` in the folder. A kill at any moment loses no more than the steps since the
    last checkpoint, and the same call continues. `code` is the fingerprint of the code that runs: a run may continue
    under other code, with a warning, and `RunCost` names all of it. Of several ranks only the first reads and writes;
    its clock decides for all, and a signal to any of them stops all after the same step.

    Raises:
        Interrupted: a stop signal came; the state is saved.
        DivergedError: the loss is not finite; the last good checkpoint is kept.
        CheckpointError: the saved state is damaged, in use, or of other settings or another kind of device.
        RankLostError: another rank is gone.
        UserError: no space is left on the disk.
    """
    with StopRequest() as stop, opened(state_folder, fingerprint, ranks.is_main_process) as store:
        session = _Session(trainer, store, running, label, device, code, ranks)
        session.resume()
        try:
            pending = session.pending(stop, session.began)
            while trainer.step < trainer.total_steps and not pending.signal:
                session.append(trainer.advance())
                now = time.monotonic()
                pending = session.pending(stop, now)
                if pending.progress:
                    session.log_progress(now)
                if pending.checkpoint:
                    session.save()
            session.end()
        except DivergedError as error:
            kept = checkpoint_files(state_folder)
            where = f"the last good checkpoint is {kept[-1]}" if kept else "there was no checkpoint yet"
            raise DivergedError(f"{label}: {error} (settings {fingerprint}); {where}") from error
        if pending.signal:
            raise Interrupted(
                f"{label}: stopped by signal {pending.signal}, saved at step {trainer.step} of "
                f"{trainer.total_steps}; the same command continues",
                pending.signal,
            )
        session.log_progress(time.monotonic())
        return session.cost()


class _Session:
    """One process's part of a run, from its start or its last checkpoint."""

    def __init__(
        self,
        trainer: Trainer,
        store: Store,
        running: Running,
        label: str,
        device: torch.device,
        code: str,
        ranks: Ranks,
    ) -> None:
        self._trainer, self._store, self._ranks = trainer, store, ranks
        self._running, self._label, self._device = running, label, device
        self._before = RunCost(code_fingerprints=(code,), energy_joules=0.0)
        """Cost of the sessions before this one."""
        self._meter = Meter(device)
        self.began = self._last_save_time = time.monotonic()
        self._last_progress_time: float | None = None
        self._first_step = trainer.step
        self._saved_step: int | None = None
        self._saving_seconds = self._last_save_seconds = 0.0

    def resume(self) -> None:
        """Restore trainer and metrics from the newest checkpoint, if there is one."""
        state = self._ranks.broadcast_state(self._store.load())
        if state is None:
            return
        if state["device"] != self._device.type:
            raise CheckpointError(
                f"{self._label}: was begun on {state['device']} and would continue on {self._device.type}; "
                f"set compute.device to {state['device']}, or delete the run's folder under state to start anew"
            )
        try:
            self._trainer.load_state_dict(state["trainer"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{self._label}: the saved state does not fit this version of the code ({error!r}); go back to that "
                "version, or delete the run's folder under state to start anew"
            ) from error
        before = RunCost(*state["spent"])
        codes = tuple(dict.fromkeys((*before.code_fingerprints, *self._before.code_fingerprints)))
        if codes != tuple(before.code_fingerprints):
            logger.warning("%s  continues under other code than it began with; its result names both", self._label)
        self._before = before._replace(restarts=before.restarts + 1, code_fingerprints=codes)
        self._first_step = self._saved_step = self._trainer.step
        logger.info("%s  continues after step %d", self._label, self._trainer.step)

    def pending(self, stop: StopRequest, now: float) -> _Pending:
        """What all ranks do next: stop on a signal to any, report and save by the clock of the first."""
        orphaned = signal.SIGTERM if self._ranks.orphaned else 0
        last = self._last_progress_time
        progress = last is None or now - last >= self._running.progress_seconds
        checkpoint = now - self._last_save_time >= self._save_interval()
        by_clock = (progress, checkpoint) if self._ranks.is_main_process else (False, False)
        return _Pending(*self._ranks.all_reduce_max(stop.signal_number or orphaned, *map(int, by_clock)))

    def _save_interval(self) -> float:
        """Seconds between two saves: as set, more where saving is slow, none where every step is to be saved."""
        asked = self._running.checkpoint_seconds
        return max(asked, min(SAVING_PAYS_AFTER * self._last_save_seconds, LONGEST_WAIT)) if asked else 0.0

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Write rows of metrics; refuse to go on once a loss is not finite."""
        self._store.append(rows)
        if rows:
            self._trainer.check_finite()

    def save(self) -> None:
        """Write a checkpoint, unless what was learnt is not finite."""
        began = time.monotonic()
        self._store.append(self._trainer.flush())
        self._trainer.check_finite()
        if self._ranks.is_main_process:
            state = {"trainer": self._trainer.state_dict(), "spent": list(self.cost()), "device": self._device.type}
            self._store.save(self._trainer.step, state)
        self._last_save_time, self._saved_step = time.monotonic(), self._trainer.step
        self._last_save_seconds = self._last_save_time - began
        self._saving_seconds += self._last_save_seconds

    def end(self) -> None:
        """Save the last state; no rank leaves before the first has, because launchers soon kill those that are left."""
        if self._saved_step != self._trainer.step:
            self.save()
        self._ranks.all_reduce_max()

    def log_progress(self, now: float) -> None:
        """Log where training is and how long it will take."""
        trainer, self._last_progress_time = self._trainer, now
        self.append(trainer.flush())
        if self._ranks.is_main_process:
            done = trainer.step - self._first_step
            left = (trainer.total_steps - trainer.step) * (now - self.began) / max(done, 1)
            logger.info("%s  %s  left %s", self._label, trainer.progress(), timedelta(seconds=round(left)))

    def cost(self) -> RunCost:
        """Cost up to now over all sessions; the device is held throughout."""
        seconds = time.monotonic() - self.began
        joules, before = self._meter.joules(), self._before.energy_joules
        return RunCost(
            self._before.wall_seconds + seconds,
            self._before.device_seconds + seconds * self._ranks.count,
            self._before.restarts,
            max(self._before.peak_memory_bytes, peak_memory_bytes(self._device)),
            self._before.code_fingerprints,
            self._before.saving_seconds + self._saving_seconds,
            None if joules is None or before is None else before + joules,
        )
