"""PARSEC: the sampling trainer that learns π and the shared weights v together (arXiv 1902.05116, section 2).

Every iteration takes a π-step on a validation batch and a v-step on a training batch, each with K fresh children
drawn from the current p(α|π).
"""

import math
import time
from typing import Any

import torch
from torch import Tensor

from parsec.errors import DivergedError
from parsec.prior.distribution import Prior
from parsec.runtime.randomness import Streams
from parsec.schedule import learning_rate
from parsec.search.batches import Batches
from parsec.search.metrics import Row, StepRows
from parsec.search.operations import expected_operations
from parsec.search.task import History, SearchTask
from parsec.search.updates import Updates
from parsec.space.spaces import Architecture


class Parsec:
    """The sampling trainer, in steps; see `runtime.trainer.Trainer` for how it is run, stopped and resumed.

    Metric rows are read from the device together: at the end of an epoch, when many have gathered, and when the loop
    asks for them. Between these a step waits for the device no more than `Updates` says.
    """

    def __init__(self, task: SearchTask) -> None:
        self.task, self.settings = task, task.job.settings
        self._streams = Streams(task.seed, task.device)
        self.updates = Updates(task, self._streams)
        self._batches = Batches(task, self._streams)
        self.step = 0
        self.total_steps = self.settings.epochs * self._batches.per_epoch
        self.history: History = [self._moment()]
        self._rows = StepRows()
        self._seconds = 0.0

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

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self._batches.per_epoch

    def advance(self) -> list[Row]:
        """Take one π-step and one v-step; returns the metric rows that are due."""
        rows = [self._epoch_row()] if self.step == 0 else []
        began, epoch = time.perf_counter(), self.epoch
        rate = learning_rate(self.settings.weights, epoch, self.settings.epochs)
        measured = {}
        if epoch >= self.settings.warmup_epochs:
            measured = self.updates.of_prior(self._batches.validation(self.step))
        measured |= self.updates.of_weights(self._batches.training(self.step), rate)
        self.step += 1
        self._rows.add({"event": "step", "epoch": epoch + 1, "step": self.step, "learning_rate": rate, **measured})
        rows += self._rows.take() if self.epoch > epoch or self._rows.full else []
        self._seconds += time.perf_counter() - began
        if self.epoch > epoch:
            self.history.append(self._moment())
            rows.append(self._epoch_row())
        return rows

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

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] of a child with shared weights on the validation half, with batch statistics."""
        correct = torch.zeros((), dtype=torch.int64, device=self.task.device)
        with torch.no_grad():
            for images, labels in self._batches.all_validation():
                correct += (self.updates.executor.logits(child, images).argmax(1) == labels).sum()
        return float(correct) / len(self.task.validation)

    def _epoch_row(self) -> Row:
        """What is known after an epoch; before the first one, only what needs no training."""
        row = {
            "event": "epoch",
            "epoch": self.epoch,
            "step": self.step,
            "entropy": self.prior.entropy(),
            "mode_accuracy": self.accuracy(self.genotype()),
            "operations": expected_operations(self.prior),
        }
        if self.step:
            row |= {**self._rows.end_epoch(self._batches.per_epoch), "seconds": self._seconds}
            self._seconds = 0.0
        return row

    def check_finite(self) -> None:
        """Refuse to go on, or to save, once a loss, a weight or a logit of π is not finite; waits for the device.

        Raises:
            DivergedError: with the first step found, the settings that matter, and what to lower.
        """
        self._rows.read()
        if self._rows.first_bad is None and self.updates.finite():
            return
        step = self._rows.first_bad or self.step
        weights, prior = self.settings.weights, self.settings.prior
        raise DivergedError(
            f"the loss is no longer finite at epoch {max(step - 1, 0) // self._batches.per_epoch + 1}, step {step}: "
            f"weights.learning_rate {weights.learning_rate}, gradient_clip {weights.gradient_clip}, "
            f"prior.learning_rate {prior.learning_rate}; lower a learning rate or the clip"
        )

    def progress(self) -> str:
        """One line on where the search stands; losses are those of the last row that was read."""
        last = self._rows.latest
        share = f"{last['ess_weights']:.2f}/{last['samples']}" if last else "-"
        return (
            f"epoch {min(self.epoch + 1, self.settings.epochs)}/{self.settings.epochs}  entropy of π "
            f"{self.prior.entropy():.2f} nats  effective samples {share}  loss {last.get('train_loss', math.nan):.3f}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "step": self.step,
            "updates": self.updates.state_dict(),
            "streams": self._streams.state_dict(),
            "history": self.history,
            "rows": self._rows.state_dict(),
            "seconds": self._seconds,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.step, self._seconds = state["step"], state["seconds"]
        self.updates.load_state_dict(state["updates"])
        self._streams.load_state_dict(state["streams"])
        self.history = [tuple(entry) for entry in state["history"]]
        self._rows.load_state_dict(state["rows"])
