"""What all search methods share: steps and epochs, their metric rows, the trajectory of π, and their saved state."""

import time
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from parsec.errors import DivergedError
from parsec.network.executors.protocol import Child
from parsec.prior.distribution import Prior
from parsec.runtime.randomness import Streams
from parsec.search.batches import Batches
from parsec.search.metrics import Row, StepRows
from parsec.search.operations import expected_operations, skip_share
from parsec.search.task import History, SearchTask
from parsec.space.spaces import Architecture


class Learner(Protocol):
    """What a method learns: π and weights, with their optimisers."""

    prior: Prior
    children: int

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""

    def finite(self) -> bool:
        """Whether all that is learnt is finite; waits for the device."""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next update depends on."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""


L = TypeVar("L", bound=Learner)
DAY = 86_400.0
"""Seconds."""


class Stepwise(ABC, Generic[L]):
    """A method in steps; see `runtime.trainer.Trainer` for how it is run, stopped and resumed.

    Metric rows are read from the device together: at the end of an epoch, when many have gathered, and when the loop
    asks for them.
    """

    selection: ClassVar[str]
    """How the architecture is chosen, and what the method saw of the data."""
    passes: ClassVar[tuple[int, int]] = (1, 1)
    """Passes of minibatches that a step takes in the warm-up and after it."""

    def __init__(self, task: SearchTask) -> None:
        self.task, self.settings = task, task.job.settings
        self._streams = Streams(task.seed, task.device)
        self.updates = self._learner()
        self._batches = Batches(task, self._streams)
        self.step = 0
        self._cut: int | None = None
        """The step with which training ended because its time was over."""
        self.history: History = [self._moment()]
        self._rows = StepRows()
        self._seconds = self._spent = 0.0

    @abstractmethod
    def _learner(self) -> L:
        """What is learnt, as it starts."""

    @abstractmethod
    def _learn(self, epoch: int) -> Row:
        """Take the step number `self.step`, in an epoch counted from 0; what it measured."""

    @property
    def epochs(self) -> int:
        """Epochs to do."""
        return self.settings.epochs

    @property
    def total_steps(self) -> int:
        """Steps to do."""
        return self.epochs * self._batches.per_epoch if self._cut is None else self._cut

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self._batches.per_epoch

    @property
    def prior(self) -> Prior:
        """The distribution that is learnt."""
        return self.updates.prior

    @property
    def children(self) -> int:
        """Children evaluated so far."""
        return self.updates.children

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far."""
        return self.children * self.settings.batch_size

    def advance(self) -> list[Row]:
        """Take one step; returns the metric rows that are due."""
        rows = [self._epoch_row()] if self.step == 0 else []
        began, epoch = time.perf_counter(), self.epoch
        measured = self._learn(epoch)
        self.step += 1
        self._rows.add({"event": "step", "epoch": epoch + 1, "step": self.step, **measured})
        rows += self._rows.take() if self.epoch > epoch or self._rows.full else []
        self._seconds += time.perf_counter() - began
        if self.epoch > epoch:
            self.history.append(self._moment())
            rows.append(self._end_epoch())
        return rows

    def _end_epoch(self) -> Row:
        """The row of an epoch; it is the last if the time of the stage is over by the clock of any rank."""
        limit = self.settings.device_days
        if limit is not None and self._cut is None:
            self._spent += self._seconds * self.task.ranks.count
            (over,) = self.task.ranks.agree(int(self._spent >= limit * DAY))
            self._cut = self.step if over else None
        return self._epoch_row()

    def flush(self) -> list[Row]:
        """The metric rows that were not handed over yet; waits for the device."""
        began = time.perf_counter()
        rows = self._rows.take()
        self._seconds += time.perf_counter() - began
        return rows

    def _moment(self) -> tuple[int, int, Tensor]:
        return self.epoch, self.step, self.prior.logits.detach().to("cpu", copy=True)

    def genotype(self) -> Architecture:
        """The mode of π."""
        return self.prior.mode()

    @property
    def decided(self) -> bool:
        """Whether anything speaks for the selected architecture; before that it is one of many equals."""
        return self.prior.has_mode()

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] of a child with shared weights on the validation half, with batch statistics."""
        correct = torch.zeros((), dtype=torch.int64, device=self.task.device)
        with torch.no_grad():
            for images, labels in self._batches.all_validation():
                correct += (self.updates.logits(child, images).argmax(1) == labels).sum()
        return float(correct) / len(self.task.validation)

    def _epoch_row(self) -> Row:
        """What is known after an epoch; before the first one, only what needs no training."""
        chosen = self.genotype()
        row = {
            "event": "epoch",
            "epoch": self.epoch,
            "step": self.step,
            "entropy": self.prior.entropy(),
            "mode_accuracy": self.accuracy(chosen),
            "operations": expected_operations(self.prior),
            "skip_share": skip_share(chosen, self.prior.space),
            "genotype": chosen.as_dict() if self.decided else None,
            "children": self.children,
            "child_images": self.child_images,
        }
        if self.step:
            row |= {**self._rows.end_epoch(self._batches.per_epoch), "seconds": self._seconds}
            self._seconds = 0.0
        return row

    def check_finite(self) -> None:
        """Refuse to go on, or to save, once a loss or what is learnt is not finite; waits for the device.

        Raises:
            DivergedError: with the first step found, the settings that matter, and what to lower.
        """
        self._rows.read()
        if self._rows.first_bad is None and self.updates.finite():
            return
        step = self._rows.first_bad or self.step
        raise DivergedError(
            f"the loss is no longer finite at epoch {max(step - 1, 0) // self._batches.per_epoch + 1}, step {step}: "
            f"{', '.join(self._rates())}; lower a learning rate or the clip"
        )

    def _rates(self) -> list[str]:
        """Key and value of the settings that a diverged loss may come from."""
        weights = self.settings.weights
        return [f"weights.learning_rate {weights.learning_rate}", f"gradient_clip {weights.gradient_clip}"]

    def progress(self) -> str:
        """One line on where the search stands; losses are those of the last row that was read."""
        last = self._rows.latest
        loss = f"loss {last['train_loss']:.3f}" if "train_loss" in last else ""
        return (
            f"epoch {min(self.epoch + 1, self.epochs)}/{self.epochs}  entropy of π "
            f"{self.prior.entropy():.2f} nats  {self._figures(last)}{loss}".rstrip()
        )

    def _figures(self, last: Row) -> str:
        """What a method adds to its progress line, ended by two spaces."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "step": self.step,
            "updates": self.updates.state_dict(),
            "streams": self._streams.state_dict(),
            "history": self.history,
            "rows": self._rows.state_dict(),
            "seconds": self._seconds,
            "spent": self._spent,
            "cut": self._cut,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.step, self._seconds = state["step"], state["seconds"]
        self._spent, self._cut = state["spent"], state["cut"]
        self.updates.load_state_dict(state["updates"])
        self._streams.load_state_dict(state["streams"])
        self.history = [tuple(entry) for entry in state["history"]]
        self._rows.load_state_dict(state["rows"])
