"""Driving a trainer from its last checkpoint to its end, through kills, stop signals and diverging losses."""

import shutil
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import torch

from parsec.errors import CheckpointError, DivergedError, Interrupted
from parsec.runtime.checkpoint import Checkpoints, checkpoint_files, remove_checkpoints
from parsec.runtime.device import peak_memory_bytes
from parsec.runtime.logs import logger
from parsec.runtime.metrics import MetricsFile
from parsec.runtime.signals import StopRequest
from parsec.settings.tree import Running

METRICS = "metrics.jsonl"


class Trainer(Protocol):
    """What the loop can drive. All state that decides the next step is in `state_dict`."""

    @property
    def step(self) -> int:
        """Steps done."""

    @property
    def total_steps(self) -> int:
        """Steps to do."""

    def advance(self) -> list[dict[str, Any]]:
        """Do one step; rows of metrics that it completed."""

    def check_finite(self) -> None:
        """Raise DivergedError if the loss or the state is no longer finite."""

    def progress(self) -> str:
        """Where training stands, for one line."""

    def state_dict(self) -> dict[str, Any]:
        """Everything needed to continue: tensors, numbers and text in dictionaries, lists and tuples."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a state; its tensors are on the CPU."""


class Spent(NamedTuple):
    """Cost of a run over all attempts; work that a kill threw away before it was saved is not in it."""

    wall_seconds: float = 0.0
    device_seconds: float = 0.0
    restarts: int = 0
    peak_memory_bytes: int = 0
    code_fingerprints: tuple[str, ...] = ()
    """Code of all attempts, in order, each once."""


def run(
    trainer: Trainer,
    state_folder: Path,
    fingerprint: str,
    running: Running,
    label: str,
    device: torch.device,
    code: str = "",
) -> Spent:
    """Resume `trainer` from `state_folder`, advance it to its end and leave a checkpoint of the finished state.

    Rows of metrics go to `metrics.jsonl` in the folder. A kill at any moment loses no more than the steps since the
    last checkpoint, and the same call continues. `code` is the fingerprint of the code that runs: a run may continue
    under other code, with a warning, and `Spent` names all of it.

    Raises:
        Interrupted: a stop signal came; the state is saved.
        DivergedError: the loss is not finite; the last good checkpoint is kept.
        CheckpointError: the saved state is damaged, in use, or of other settings or another kind of device.
        UserError: no space is left on the disk.
    """
    with (
        StopRequest() as stop,
        Checkpoints(state_folder, fingerprint) as checkpoints,
        closing(MetricsFile(state_folder / METRICS)) as metrics,
    ):
        attempt = _Attempt(trainer, checkpoints, metrics, running, label, device, code)
        attempt.resume()
        try:
            attempt.drive(stop)
        except DivergedError as error:
            kept = checkpoint_files(state_folder)
            where = f"the last good checkpoint is {kept[-1]}" if kept else "there was no checkpoint yet"
            raise DivergedError(f"{label}: {error} (settings {fingerprint}); {where}") from error
        return attempt.spent()


def finish(state_folder: Path) -> None:
    """Remove the state of a run whose outputs are final; killed in between, the newest checkpoint still continues."""
    remove_checkpoints(state_folder)
    shutil.rmtree(state_folder, ignore_errors=True)


class _Attempt:
    """One process's part of a run."""

    def __init__(
        self,
        trainer: Trainer,
        checkpoints: Checkpoints,
        metrics: MetricsFile,
        running: Running,
        label: str,
        device: torch.device,
        code: str,
    ) -> None:
        self._trainer, self._checkpoints, self._metrics = trainer, checkpoints, metrics
        self._running, self._label, self._device = running, label, device
        self._before = Spent(code_fingerprints=(code,))
        self._began = self._saved = time.monotonic()
        self._shown: float | None = None
        self._first_step = trainer.step
        self._saved_step: int | None = None

    def resume(self) -> None:
        """Put trainer and metrics where the newest checkpoint was taken."""
        state = self._checkpoints.load()
        if state is None:
            self._metrics.truncate(0)
            return
        if state["device"] != self._device.type:
            raise CheckpointError(
                f"{self._label}: was begun on {state['device']} and would continue on {self._device.type}; "
                f"set compute.device to {state['device']}, or delete the run's folder under state to start anew"
            )
        self._metrics.truncate(state["metrics_position"])
        self._load(state["trainer"])
        before = Spent(*state["spent"])
        codes = tuple(dict.fromkeys((*before.code_fingerprints, *self._before.code_fingerprints)))
        if codes != tuple(before.code_fingerprints):
            logger.warning("%s  continues under other code than it began with; its result names both", self._label)
        self._before = before._replace(restarts=before.restarts + 1, code_fingerprints=codes)
        self._first_step = self._saved_step = self._trainer.step
        logger.info("%s  continues after step %d", self._label, self._trainer.step)

    def _load(self, state: dict[str, Any]) -> None:
        try:
            self._trainer.load_state_dict(state)
        except (KeyError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{self._label}: the saved state does not fit this version of the code ({error!r}); go back to that "
                "version, or delete the run's folder under state to start anew"
            ) from error

    def drive(self, stop: StopRequest) -> None:
        """Advance to the end, saving and reporting on time."""
        trainer = self._trainer
        while trainer.step < trainer.total_steps and stop.signal_number is None:
            self._metrics.append(trainer.advance())
            now = time.monotonic()
            if self._shown is None or now - self._shown >= self._running.progress_seconds:
                self._show(now)
            if now - self._saved >= self._running.checkpoint_seconds:
                self._save()
        if self._saved_step != trainer.step:
            self._save()
        if stop.signal_number is not None:
            raise Interrupted(
                f"{self._label}: stopped by signal {stop.signal_number}, saved at step {trainer.step} of "
                f"{trainer.total_steps}; the same command continues",
                stop.signal_number,
            )
        self._show(time.monotonic())

    def spent(self) -> Spent:
        """Cost up to now over all attempts; the device is held throughout."""
        seconds = time.monotonic() - self._began
        return Spent(
            self._before.wall_seconds + seconds,
            self._before.device_seconds + seconds,
            self._before.restarts,
            max(self._before.peak_memory_bytes, peak_memory_bytes(self._device)),
            self._before.code_fingerprints,
        )

    def _save(self) -> None:
        self._trainer.check_finite()
        self._metrics.sync()
        state = {
            "trainer": self._trainer.state_dict(),
            "metrics_position": self._metrics.position,
            "spent": list(self.spent()),
            "device": self._device.type,
        }
        self._checkpoints.save(self._trainer.step, state)
        self._saved, self._saved_step = time.monotonic(), self._trainer.step

    def _show(self, now: float) -> None:
        trainer, self._shown = self._trainer, now
        done = trainer.step - self._first_step
        left = (trainer.total_steps - trainer.step) * (now - self._began) / max(done, 1)
        logger.info("%s  %s  left %s", self._label, trainer.progress(), timedelta(seconds=round(left)))
