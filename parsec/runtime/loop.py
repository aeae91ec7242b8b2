"""Resumable training loop: survives kills, stop signals and losses that diverge."""

import signal
import threading
import time
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, Protocol, Self

import torch

from parsec.config.base import Running
from parsec.errors import CheckpointError, DivergedError, Interrupted
from parsec.runtime.checkpoint import RunDir, checkpoint_files, open_run_dir
from parsec.runtime.device import peak_memory_bytes
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.logs import logger
from parsec.runtime.outputs import METRICS as METRICS
from parsec.runtime.system import EnergyMeter

_SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopRequest:
    """Context that records the first SIGTERM, SIGUSR1 or SIGINT in `signal_number` instead of obeying it.

    A second SIGINT raises KeyboardInterrupt. Outside the main thread Python allows no handlers: nothing is recorded.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._record) for number in _SIGNALS}
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.signal_number == signal.SIGINT:
            raise KeyboardInterrupt
        if self.signal_number is None:
            self.signal_number = number


class Trainer(Protocol):
    """Interface that the loop drives. Whatever decides the next step is in `state_dict`."""

    @property
    def step(self) -> int:
        """Number of steps done."""

    @property
    def total_steps(self) -> int:
        """Number of steps to do."""

    def advance(self) -> list[dict[str, Any]]:
        """Do one step; returns the rows of metrics that are due."""

    def flush(self) -> list[dict[str, Any]]:
        """Rows of metrics that `advance` has held back so as not to wait for the device; this waits for it."""

    def check_finite(self) -> None:
        """Raise DivergedError if a loss so far or the state is not finite."""

    def progress(self) -> str:
        """One-line summary of the training so far."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text in dictionaries, lists and tuples."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state, whose tensors are on the CPU."""


class RowTrainer(Trainer):
    """Trainer without weights: the rows of a step follow from its number, which is the whole state."""

    step = 0

    def flush(self) -> list[dict[str, Any]]:
        """No rows: none is held back."""
        return []

    def check_finite(self) -> None:
        """Accept all: a row without a finite number ends no run."""
        return

    def state_dict(self) -> dict[str, Any]:
        """Number of steps done; the loop keeps the rows."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue after the steps done."""
        self.step = state["step"]


class RunCost(NamedTuple):
    """Cost of a run over all attempts, without the work that a kill discarded before it was saved."""

    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    restarts: int = 0
    peak_memory_bytes: int = 0
    code_fingerprints: tuple[str, ...] = ()
    """Fingerprints of the code of all attempts, in order, without repeats."""
    saving_seconds: float = 0.0
    """Part of the wall time that went into saving checkpoints."""
    energy_joules: float | None = None
    """Energy of all processors and the GPU, other work on them included; None if an attempt could not read it."""


SAVING_PAYS_AFTER = 50
"""Least ratio of the work between two saves to the duration of the first: at most 2 % of the time goes into saving."""
LONGEST_WAIT = 3600.0
"""Most seconds of work at risk on a slow disk; a save that takes longer than 72 s may cost more than 2 %."""


class _Pending(NamedTuple):
    """Actions due between two steps; integers, because the ranks take their maximum."""

    signal: int
    """Number of the signal to stop on, 0 for none."""
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
    """Resume `trainer` from `state_folder`, advance it to its end and leave a checkpoint of the final state.

    Rows of metrics go to `metrics.jsonl` in the folder. A kill at any moment loses only the steps since the last
    checkpoint, and the same call continues. Only the main process reads and writes; its clock decides for all ranks,
    and a signal to any of them stops all after the same step.

    Args:
        trainer: holds everything that decides the next step.
        state_folder: folder of checkpoints and metrics, created if missing.
        fingerprint: what the checkpoints depend on; those of another one are refused.
        running: how often to save and to report.
        label: name of the run in messages.
        device: device whose peak memory and energy are recorded; a run never changes the kind of its device.
        code: fingerprint of the running code. A run may continue under other code, with a warning; `RunCost` lists all.
        ranks: processes of the run.

    Raises:
        Interrupted: on a stop signal; the state is saved.
        DivergedError: the loss is not finite; the last good checkpoint is kept.
        CheckpointError: the saved state is damaged, in use, or of other settings or another kind of device.
        RankLostError: another rank has ended.
        UserError: no space is left on the disk.
    """
    with StopRequest() as stop, open_run_dir(state_folder, fingerprint, ranks.is_main_process) as run_dir:
        session = _Session(trainer, run_dir, running, label, device, code, ranks)
        session.resume()
        try:
            pending = session.pending(stop)
            while trainer.step < trainer.total_steps and not pending.signal:
                session.append(trainer.advance())
                pending = session.pending(stop)
                if pending.progress:
                    session.log_progress()
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
        session.log_progress()
        return session.cost()


class _Session:
    """One process's attempt at a run, from the start or from the last checkpoint."""

    def __init__(
        self,
        trainer: Trainer,
        run_dir: RunDir | None,
        running: Running,
        label: str,
        device: torch.device,
        code: str,
        ranks: Ranks,
    ) -> None:
        self._trainer, self._run_dir, self._ranks = trainer, run_dir, ranks
        self._running, self._label, self._device = running, label, device
        self._earlier = RunCost(code_fingerprints=(code,), energy_joules=0.0)
        """Cost of the attempts before this one."""
        self._meter = EnergyMeter(device)
        self._start_time = self._last_save_time = time.monotonic()
        self._last_progress_time: float | None = None
        self._first_step = trainer.step
        self._saved_step: int | None = None
        self._saving_seconds = self._last_save_seconds = 0.0

    def resume(self) -> None:
        """Restore trainer and metrics from the newest checkpoint, if there is one."""
        state = self._ranks.broadcast_state(self._run_dir.load() if self._run_dir else None)
        if state is None:
            return
        # Random streams of the CPU and of a GPU differ, so a run stays on its kind of device.
        if state["device"] != self._device.type:
            raise CheckpointError(
                f"{self._label}: was begun on {state['device']} and would continue on {self._device.type}; "
                f"set compute.device to {state['device']}, or delete the run's folder under state to start from scratch"
            )
        try:
            self._trainer.load_state_dict(state["trainer"])
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{self._label}: the saved state does not fit this version of the code ({error!r}); go back to that "
                "version, or delete the run's folder under state to start from scratch"
            ) from error
        earlier = RunCost(*state["cost"])
        codes = tuple(dict.fromkeys((*earlier.code_fingerprints, *self._earlier.code_fingerprints)))
        if codes != tuple(earlier.code_fingerprints):
            logger.warning("%s  continues under other code than it began with; its result names both", self._label)
        self._earlier = earlier._replace(restarts=earlier.restarts + 1, code_fingerprints=codes)
        self._first_step = self._saved_step = self._trainer.step
        logger.info("%s  continues after step %d", self._label, self._trainer.step)

    def pending(self, stop: StopRequest) -> _Pending:
        """Actions due now, equal on all ranks: a signal to any stops all, the clock of the first decides the rest."""
        now = time.monotonic()
        # A rank whose launcher was killed gets no signal any more.
        orphaned = signal.SIGTERM if self._ranks.orphaned else 0
        last = self._last_progress_time
        progress = last is None or now - last >= self._running.progress_seconds
        checkpoint = now - self._last_save_time >= self._save_interval()
        by_clock = (progress, checkpoint) if self._ranks.is_main_process else (False, False)
        return _Pending(*self._ranks.all_reduce_max(stop.signal_number or orphaned, *map(int, by_clock)))

    def _save_interval(self) -> float:
        """Seconds between two saves: those of the settings, more if saving is slow, 0 if every step is to be saved."""
        requested = self._running.checkpoint_seconds
        return max(requested, min(SAVING_PAYS_AFTER * self._last_save_seconds, LONGEST_WAIT)) if requested else 0.0

    def append(self, rows: list[dict[str, Any]]) -> None:
        """Write rows of metrics; refuse to go on once a loss is not finite."""
        # Written first: the rows before a divergence show how it came about.
        if self._run_dir:
            self._run_dir.metrics.append(rows)
        if rows:
            self._trainer.check_finite()

    def save(self) -> None:
        """Write a checkpoint, unless the state is not finite."""
        start = time.monotonic()
        rows = self._trainer.flush()
        if self._run_dir:
            self._run_dir.metrics.append(rows)
        self._trainer.check_finite()
        if self._run_dir:
            state = {"trainer": self._trainer.state_dict(), "cost": list(self.cost()), "device": self._device.type}
            self._run_dir.save(self._trainer.step, state)
        self._last_save_time, self._saved_step = time.monotonic(), self._trainer.step
        self._last_save_seconds = self._last_save_time - start
        self._saving_seconds += self._last_save_seconds

    def end(self) -> None:
        """Save the final state, unless that was done."""
        if self._saved_step != self._trainer.step:
            self.save()
        # No rank leaves before the first has saved, because launchers soon kill the ranks that are left.
        self._ranks.all_reduce_max()

    def log_progress(self) -> None:
        """Log progress and the estimated time to the end."""
        trainer, self._last_progress_time = self._trainer, time.monotonic()
        self.append(trainer.flush())
        # Counters of energy wrap around after minutes at full power, so that they are not read at checkpoints only.
        self._meter.total_joules()
        if self._ranks.is_main_process:
            done = trainer.step - self._first_step
            left = (trainer.total_steps - trainer.step) * (self._last_progress_time - self._start_time) / max(done, 1)
            logger.info("%s  %s  left %s", self._label, trainer.progress(), timedelta(seconds=round(left)))

    def cost(self) -> RunCost:
        """Cost over all attempts up to now; the device is held throughout."""
        seconds = time.monotonic() - self._start_time
        joules, earlier = self._meter.total_joules(), self._earlier
        return RunCost(
            wall_seconds=earlier.wall_seconds + seconds,
            device_seconds=earlier.device_seconds + seconds * self._ranks.count,
            restarts=earlier.restarts,
            peak_memory_bytes=max(earlier.peak_memory_bytes, peak_memory_bytes(self._device)),
            code_fingerprints=earlier.code_fingerprints,
            saving_seconds=earlier.saving_seconds + self._saving_seconds,
            energy_joules=None if joules is None or earlier.energy_joules is None else earlier.energy_joules + joules,
        )
