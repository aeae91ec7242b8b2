"""What all search methods share: their inputs, metrics, minibatches, steps and saved state."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from parsec.config.jobs import SearchJob
from parsec.data.augment import Augment
from parsec.data.loader import AnyImages, epoch_order
from parsec.errors import DivergedError
from parsec.network.spaces import Child
from parsec.prior.distribution import Prior
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.loop import Trainer
from parsec.runtime.rng import Streams, generator
from parsec.space.factors import SEPARATOR
from parsec.space.spaces import Architecture, SearchSpace

History = list[tuple[int, int, Tensor]]
"""(epoch, step, logits of π) at the start and after every epoch."""


@dataclass(frozen=True)
class SearchTask:
    """One search: its settings, its two halves of the training set, and the π that it starts from."""

    job: SearchJob
    seed: int
    train: AnyImages
    validation: AnyImages
    augment: Augment
    classes: int
    prior: Prior
    device: torch.device
    ranks: Ranks = SINGLE_PROCESS
    """The processes that share the children of a step out."""


class Method(Trainer, Protocol):
    """A search method: a resumable trainer that ends with a distribution and an architecture."""

    history: History
    selection: ClassVar[str]
    """How the architecture is chosen, and what the method saw of the data."""
    passes: ClassVar[tuple[int, int]]
    """Passes of minibatches that a step takes in the warm-up and after it; PARSEC's by each of its K children."""

    def __init__(self, task: SearchTask) -> None: ...

    @property
    def prior(self) -> Prior:
        """The distribution that is learnt."""

    @property
    def children(self) -> int:
        """Children evaluated so far; a pass of a mixture of primitives counts as one."""

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far; `search.budget` says what a mixture counts for."""

    def genotype(self) -> Architecture:
        """The architecture that the method selects."""

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] of a child with shared weights on the validation half."""


Row = dict[str, Any]

CAPACITY = 64
"""Rows after which they should be read, so that neither memory nor the delay of a diverged loss grows."""
MEANS = ("ess_prior", "ess_weights", "samples", "train_loss", "validation_loss")
LOSSES = ("train_loss", "validation_loss")


class StepRows:
    """Rows of steps in their order, from `add` through `read` to `take`; only `read` waits for the device."""

    def __init__(self) -> None:
        self._unread: list[Row] = []
        self._read: list[Row] = []
        self.latest: Row = {}
        """The newest row that was read."""
        self.first_bad: int | None = None
        """The first step whose loss is not finite."""
        self._sums: dict[str, float] = {}

    @property
    def full(self) -> bool:
        """Whether it is time to read."""
        return len(self._unread) >= CAPACITY

    def add(self, row: Row) -> None:
        """Keep a row whose values are numbers, text, or 0-d float64 tensors on any device."""
        self._unread.append(row)

    def read(self) -> None:
        """Turn all tensors into numbers: one copy from each device, however many rows there are."""
        rows, self._unread = _numbers(self._unread), []
        for row in rows:
            self._sums |= {name: self._sums.get(name, 0.0) + row[name] for name in MEANS if name in row}
            if self.first_bad is None and not all(math.isfinite(row[name]) for name in LOSSES if name in row):
                self.first_bad = row["step"]
        self._read += rows
        self.latest = rows[-1] if rows else self.latest

    def take(self) -> list[Row]:
        """Read all rows and hand over those that were not handed over before."""
        self.read()
        rows, self._read = self._read, []
        return rows

    def end_epoch(self, steps: int) -> Row:
        """Means over an epoch of so many steps; the next one starts from nothing."""
        self.read()
        means, self._sums = {name: total / steps for name, total in self._sums.items()}, {}
        return means

    def state_dict(self) -> dict[str, Any]:
        """All that was read, and nothing left unread."""
        self.read()
        return {"rows": self._read, "latest": self.latest, "sums": self._sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._unread, self._read, self.first_bad = [], [*state["rows"]], None
        self.latest, self._sums = state["latest"], dict(state["sums"])


def _numbers(rows: list[Row]) -> list[Row]:
    """The rows with numbers in the place of tensors."""
    waiting = [(row, name, value) for row in rows for name, value in row.items() if isinstance(value, torch.Tensor)]
    for device in dict.fromkeys(value.device for _, _, value in waiting):
        there = [(row, name, value) for row, name, value in waiting if value.device == device]
        values = torch.stack([value for _, _, value in there]).tolist()
        for (row, name, _), value in zip(there, values, strict=True):
            row[name] = value
    return rows


Batch = tuple[Tensor, Tensor]
"""Images [B, 3, H, W] as the network sees them and labels [B], on the device."""


class Batches:
    """Augmented batches of both halves of the training set."""

    def __init__(self, task: SearchTask, streams: Streams) -> None:
        self._task, self._streams = task, streams
        self._size = task.job.settings.batch_size
        self.per_epoch = len(task.train) // self._size
        self._order = (-1, torch.empty(0))

    def training(self, step: int) -> Batch:
        """The training batch of a step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            drawn = epoch_order(len(self._task.train), self._size, self._task.seed, "training order", epoch)
            self._order = (epoch, drawn)
        draws = self._streams.draws("training augmentation")
        batch = self._task.train.train(self._order[1][index], self._task.augment, draws, step)
        if index + 1 < self.per_epoch:
            self._task.train.ahead(self._order[1][index + 1], self._task.augment, draws, step + 1)
        return batch

    def validation(self, step: int) -> Batch:
        """A validation batch drawn anew, as DARTS does, whatever the size of the validation half."""
        order = torch.randperm(len(self._task.validation), generator=self._streams.cpu("validation order"))
        draws = self._streams.draws("validation augmentation")
        return self._task.validation.train(order[: self._size], self._task.augment, draws, step)

    def all_validation(self) -> Iterator[Batch]:
        """Every validation image once, not augmented.

        The images are shuffled, because those of a folder lie class by class, and the statistics of a batch of one
        class are not those that v was trained with; for the same reason no batch is smaller than in training.
        """
        count = len(self._task.validation)
        order = torch.randperm(count, generator=generator(self._task.seed, "accuracy order"))
        for indices in order.tensor_split(count // self._size):
            yield self._task.validation.evaluate(indices, self._task.augment)


def expected_operations(prior: Prior) -> dict[str, dict[str, float]]:
    """Expected uses of every primitive in each cell under π; the counts of a cell sum to its slots (or edges)."""
    names = prior.space.candidates if prior.form.factors == "edges" else prior.space.primitives
    counts = {cell: dict.fromkeys(names, 0.0) for cell in prior.space.cells}
    for factor, probabilities in zip(prior.factors, prior.marginals().tolist(), strict=True):
        if factor.kind == "input":
            continue
        for choice, probability in zip(factor.choices, probabilities, strict=False):
            counts[factor.cell][choice.split(SEPARATOR)[-1]] += probability
    return counts


def skip_share(found: Architecture, space: SearchSpace) -> float:
    """Share of skip connections among the edges of an architecture, all its cells together."""
    named = zip(space.factors("separate"), space.encode(found, "separate"), strict=True)
    operations = [factor.choices[index] for factor, index in named if factor.kind == "operation"]
    return operations.count("skip_connect") / len(operations)


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
            (over,) = self.task.ranks.all_reduce_max(int(self._spent >= limit * DAY))
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
