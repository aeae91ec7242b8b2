"""Inputs and interface of a search method: minibatches, metrics, bookkeeping of steps, and saved state."""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from parsec.config.search import SearchJob
from parsec.data.augment import Augment
from parsec.data.loader import AnyImages, epoch_order
from parsec.errors import DivergedError, SettingsError
from parsec.network.spaces import Child, SharedWeights
from parsec.prior.distribution import Prior
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.optim import learning_rate
from parsec.runtime.rng import Streams, generator
from parsec.search.executors.base import Executor
from parsec.space.spaces import Architecture, SearchSpace

History = list[tuple[int, int, Tensor]]
"""(epoch, step, logits of π) at the start and after every epoch."""


@dataclass(frozen=True)
class SearchTask:
    """One search: its settings, the two splits of its training set, and the π that it starts from."""

    job: SearchJob
    seed: int
    train: AnyImages
    validation: AnyImages
    augment: Augment
    classes: int
    prior: Prior
    device: torch.device
    ranks: Ranks = SINGLE_PROCESS
    """Processes across which the architectures of a step are split."""


Metrics = dict[str, Any]
"""One row of `metrics.jsonl`; values are numbers, text, or 0-d float64 tensors that are read later."""

CAPACITY = 64
"""Unread rows that are read together, which bounds memory and the delay until a diverged loss is noticed."""
MEANS = ("ess_prior", "ess_weights", "samples", "train_loss", "validation_loss")
LOSSES = ("train_loss", "validation_loss")


class MetricRows:
    """Metrics of the steps in order, from `add` through `read` to `take`; only `read` waits for the device."""

    def __init__(self) -> None:
        self._unread: list[Metrics] = []
        self._read: list[Metrics] = []
        self.latest: Metrics = {}
        """The newest row that was read."""
        self.first_bad: int | None = None
        """The first step whose loss is not finite."""
        self._sums: dict[str, float] = {}

    @property
    def full(self) -> bool:
        """Whether it is time to read."""
        return len(self._unread) >= CAPACITY

    def add(self, row: Metrics) -> None:
        """Keep a row whose values are numbers, text, or 0-d float64 tensors on any device."""
        self._unread.append(row)

    def read(self) -> None:
        """Turn all tensors into numbers: one copy per device for all rows."""
        rows, self._unread = _numbers(self._unread), []
        for row in rows:
            # Running sums for the means of the epoch, and the first step that diverged.
            self._sums |= {name: self._sums.get(name, 0.0) + row[name] for name in MEANS if name in row}
            if self.first_bad is None and not all(math.isfinite(row[name]) for name in LOSSES if name in row):
                self.first_bad = row["step"]
        self._read += rows
        self.latest = rows[-1] if rows else self.latest

    def take(self) -> list[Metrics]:
        """Read all rows, and return those that were not returned before."""
        self.read()
        rows, self._read = self._read, []
        return rows

    def end_epoch(self, steps: int) -> Metrics:
        """Means over an epoch of `steps` steps; resets the sums."""
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


def _numbers(rows: list[Metrics]) -> list[Metrics]:
    """The rows with numbers in place of tensors."""
    pending = [(row, name, value) for row in rows for name, value in row.items() if isinstance(value, torch.Tensor)]
    # All tensors of a device are stacked, so that one copy to the host, and one wait, reads them.
    for device in dict.fromkeys(value.device for _, _, value in pending):
        group = [(row, name, value) for row, name, value in pending if value.device == device]
        numbers = torch.stack([value for _, _, value in group]).tolist()
        for (row, name, _), number in zip(group, numbers, strict=True):
            row[name] = number
    return rows


Batch = tuple[Tensor, Tensor]
"""Images [B, 3, H, W] as the network sees them and labels [B], on the device."""


class Batches:
    """Augmented minibatches of the training and the validation split."""

    def __init__(self, task: SearchTask, streams: Streams) -> None:
        self._task, self._streams = task, streams
        self._size = task.job.settings.batch_size
        self.per_epoch = len(task.train) // self._size
        self._order = (-1, torch.empty(0))

    def training(self, step: int) -> Batch:
        """The training batch of a step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            order = epoch_order(len(self._task.train), self._size, self._task.seed, "training order", epoch)
            self._order = (epoch, order)
        rng = self._streams.sharded("training augmentation")
        batch = self._task.train.train(self._order[1][index], self._task.augment, rng, step)
        # Load the next batch while this one is used.
        if index + 1 < self.per_epoch:
            self._task.train.ahead(self._order[1][index + 1], self._task.augment, rng, step + 1)
        return batch

    def validation(self, step: int) -> Batch:
        """A validation batch sampled from scratch, as DARTS does, independent of the size of the validation split."""
        order = torch.randperm(len(self._task.validation), generator=self._streams.cpu("validation order"))
        rng = self._streams.sharded("validation augmentation")
        return self._task.validation.train(order[: self._size], self._task.augment, rng, step)

    def all_validation(self) -> Iterator[Batch]:
        """Every validation image once, not augmented.

        The images are shuffled, because those of a folder are sorted by class, and the batch statistics of a single
        class are not those that v was trained with; for the same reason no batch is smaller than in training.
        """
        count = len(self._task.validation)
        order = torch.randperm(count, generator=generator(self._task.seed, "accuracy order"))
        for indices in order.tensor_split(count // self._size):
            yield self._task.validation.evaluate(indices, self._task.augment)

    def some_validation(self, number: int, count: int) -> Iterator[Batch]:
        """`count` whole validation batches, not augmented: the next ones of shuffled passes over the validation split.

        Args:
            number: how many times as many batches were taken before.
            count: number of batches.
        """
        split, per_pass = self._task.validation, len(self._task.validation) // self._size
        for taken in range(number * count, (number + 1) * count):
            index, batch = divmod(taken, per_pass)
            order = epoch_order(len(split), self._size, self._task.seed, "candidate order", index)
            yield split.evaluate(order[batch], self._task.augment)


def expected_operations(prior: Prior) -> dict[str, dict[str, float]]:
    """Expected uses of every primitive in each cell under π; the counts of a cell sum to its slots (or edges)."""
    names = prior.space.candidates if prior.form == "edges" else prior.space.primitives
    counts = {cell: dict.fromkeys(names, 0.0) for cell in prior.space.cells}
    for factor, probabilities in zip(prior.factors, prior.marginals().tolist(), strict=True):
        if factor.kind == "input":
            continue
        for choice, probability in zip(factor.choices, probabilities, strict=False):
            counts[factor.cell][choice] += probability
    return counts


def operations_of(architecture: Architecture, space: SearchSpace) -> list[str]:
    """Operation of every edge of an architecture, over all its cells."""
    choices = zip(space.factors("separate"), space.encode(architecture, "separate"), strict=True)
    return [factor.choices[index] for factor, index in choices if factor.kind == "operation"]


def skip_share(architecture: Architecture, space: SearchSpace) -> float:
    """Fraction of skip connections among the edges of an architecture, over all its cells."""
    operations = operations_of(architecture, space)
    return operations.count("skip_connect") / len(operations)


DAY = 86_400.0
"""Seconds."""


class SearchTrainer(ABC):
    """A search method: a resumable trainer that ends with a distribution π and an architecture.

    A subclass builds `supernet`, `executor`, `prior` and the optimizers in its `__init__` and takes one step in
    `train_step`; see `runtime.loop.Trainer` for how it is run, stopped and resumed. Metrics are read from the device
    together: at the end of an epoch, when many have gathered, and when the loop asks for them.
    """

    selection: ClassVar[str]
    """How the architecture is selected, and which images the method saw."""
    passes: ClassVar[tuple[int, int]] = (1, 1)
    """Passes of minibatches per step, during the warm-up and after it."""

    runs_on_ranks: ClassVar[bool] = False
    """Whether several processes can split the architectures of a step."""
    shares_weights: ClassVar[bool] = True
    """Whether the weights v at the end are those of all architectures."""
    warmup_weights: Tensor | None = None
    """Copy of v as the warm-up left it, for `search.ranking`; None until then, and without a warm-up."""
    warmup_images: int = 0
    """Images × architectures passed forward by then."""
    ranked_accuracies: list[float] | None = None
    """Accuracies of the sample of `search.ranking`, each trained alone; None unless the search trains it."""

    supernet: SharedWeights
    executor: Executor
    """Runs architectures of `supernet`."""
    weight_optimizer: torch.optim.Optimizer
    prior: Prior
    prior_optimizer: torch.optim.Optimizer | None = None
    """None if the method does not learn π."""

    @classmethod
    def cost_per_pass(cls, task: SearchTask) -> float:
        """Sampled architectures that one pass of a minibatch costs as much as."""
        return 1.0

    @classmethod
    def cost_per_step(cls, task: SearchTask) -> tuple[float, float]:
        """Sampled architectures that one step costs as much as, during the warm-up and after it."""
        during, after = cls.passes
        return during * cls.cost_per_pass(task), after * cls.cost_per_pass(task)

    @classmethod
    def selection_images(cls, task: SearchTask) -> int:
        """Images × architectures passed forward after training, to select one by its accuracy."""
        return 0

    def __init__(self, task: SearchTask) -> None:
        if task.ranks.count > 1 and not self.runs_on_ranks:
            raise SettingsError(f"the method {task.job.method} runs in one process; start it without torchrun")
        self.task, self.settings = task, task.job.settings
        self.streams = Streams(task.seed, task.device)
        self.batches = Batches(task, self.streams)
        self.step = 0
        self.children = 0
        """Architectures evaluated so far; one pass of a mixture of operations counts as one."""
        self.history: History = []
        self._rows = MetricRows()
        self._epoch_seconds = self._device_seconds = 0.0
        self._last_step: int | None = None
        """The step with which the search ended because its time was over."""

    @abstractmethod
    def train_step(self, epoch: int) -> Metrics:
        """Take step number `self.step`, in an epoch counted from 0; what it measured."""

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture with the shared weights."""
        return self.executor.logits(child, images)

    @property
    def epochs(self) -> int:
        """Epochs to do."""
        return self.settings.epochs

    @property
    def total_steps(self) -> int:
        """Steps to do."""
        return self.epochs * self.batches.per_epoch if self._last_step is None else self._last_step

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self.batches.per_epoch

    @property
    def forward_images(self) -> int:
        """Images × architectures passed forward so far; `search.budget` says what a mixture counts for."""
        return self.children * self.settings.batch_size

    def advance(self) -> list[Metrics]:
        """Take one step; returns the rows of metrics that are due."""
        rows = []
        if self.step == 0:
            # Before any training: where π starts.
            self.history = [self._snapshot()]
            rows.append(self._epoch_row())
        began, epoch = time.perf_counter(), self.epoch
        metrics = self.train_step(epoch)
        self.step += 1
        self._rows.add({"event": "step", "epoch": epoch + 1, "step": self.step, **metrics})
        # Reading tensors waits for the device, so rows are read in bulk.
        if self.epoch > epoch or self._rows.full:
            rows += self._rows.take()
        self._epoch_seconds += time.perf_counter() - began
        if self.epoch > epoch:
            self.history.append(self._snapshot())
            # Once the time is over, an epoch that follows is that of a selection.
            warm = self.epoch == self.settings.warmup.epochs and self._last_step is None
            if warm and self.shares_weights:
                self.warmup_weights = self.supernet.weights.flat.detach().clone()
                self.warmup_images = self.forward_images
            self._stop_if_out_of_time()
            rows.append(self._epoch_row())
        return rows

    def _rate(self, epoch: int) -> float:
        """Learning rate of v in an epoch counted from 0."""
        return learning_rate(self.settings.weights, epoch, self.settings.epochs)

    def step_weights(self, rate: float) -> None:
        """Clip the gradient of v by its norm, as DARTS does, and take the SGD step at this learning rate."""
        torch.nn.utils.clip_grad_norm_([self.supernet.weights.flat], self.settings.weights.gradient_clip)
        self.weight_optimizer.param_groups[0]["lr"] = rate
        self.weight_optimizer.step()

    def _stop_if_out_of_time(self) -> None:
        # The epoch just done is the last if the time of the stage is over by the clock of any rank.
        limit = self.settings.device_days
        if limit is not None and self._last_step is None:
            self._device_seconds += self._epoch_seconds * self.task.ranks.count
            (over,) = self.task.ranks.all_reduce_max(int(self._device_seconds >= limit * DAY))
            # At the very end there is nothing left to cut.
            cut = over and self.can_stop and self.step < self.total_steps
            self._last_step = self.step if cut else None

    def flush(self) -> list[Metrics]:
        """The rows of metrics that were not returned yet; waits for the device."""
        began = time.perf_counter()
        rows = self._rows.take()
        self._epoch_seconds += time.perf_counter() - began
        return rows

    def _snapshot(self) -> tuple[int, int, Tensor]:
        return self.epoch, self.step, self.prior.logits.detach().to("cpu", copy=True)

    def genotype(self) -> Architecture:
        """The selected architecture: here the mode of π."""
        return self.prior.mode()

    @property
    def has_selection(self) -> bool:
        """Whether the selection is informed; at first, π has no unique mode."""
        return self.prior.has_mode()

    @property
    def can_stop(self) -> bool:
        """Whether the search may end with the present epoch because its time is over."""
        return True

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] of an architecture with shared weights on the validation split, with batch statistics."""
        return self.accuracy_on(child, self.batches.all_validation())

    def accuracy_on(self, child: Architecture, batches: Iterable[Batch]) -> float:
        """Accuracy in [0, 1] of an architecture with shared weights on batches, with batch statistics."""
        correct, count = torch.zeros((), dtype=torch.int64, device=self.task.device), 0
        with torch.no_grad():
            for images, labels in batches:
                correct += (self.logits(child, images).argmax(1) == labels).sum()
                count += len(labels)
        return float(correct) / count

    def _epoch_row(self) -> Metrics:
        # What is known after an epoch; before the first one, only what needs no training.
        selected = self.genotype()
        row = {
            "event": "epoch",
            "epoch": self.epoch,
            "step": self.step,
            "entropy": self.prior.entropy(),
            "mode_accuracy": self.accuracy(selected),
            "operations": expected_operations(self.prior),
            "skip_share": skip_share(selected, self.prior.space),
            "genotype": selected.as_dict() if self.has_selection else None,
            "children": self.children,
            "forward_images": self.forward_images,
        }
        if self.step:
            row |= {**self._rows.end_epoch(self.batches.per_epoch), "seconds": self._epoch_seconds}
            self._epoch_seconds = 0.0
        return row

    def check_finite(self) -> None:
        """Refuse to go on, or to save, once a loss, v or π is not finite; waits for the device.

        Raises:
            DivergedError: with the first step found, the settings that matter, and what to lower.
        """
        self._rows.read()
        learned = (self.supernet.weights.flat, self.prior.logits)
        if self._rows.first_bad is None and all(bool(values.isfinite().all()) for values in learned):
            return
        step = self._rows.first_bad or self.step
        raise DivergedError(
            f"the loss is no longer finite at epoch {max(step - 1, 0) // self.batches.per_epoch + 1}, step {step}: "
            f"{', '.join(self.rate_summary())}; lower a learning rate or the clip"
        )

    def rate_summary(self) -> list[str]:
        """Key and value of the settings that a diverged loss may come from."""
        weights = self.settings.weights
        return [f"weights.learning_rate {weights.learning_rate}", f"gradient_clip {weights.gradient_clip}"]

    def progress(self) -> str:
        """One line on where the search is; losses are those of the last row that was read."""
        latest = self._rows.latest
        loss = f"loss {latest['train_loss']:.3f}" if "train_loss" in latest else ""
        return (
            f"epoch {min(self.epoch + 1, self.epochs)}/{self.epochs}  entropy of π "
            f"{self.prior.entropy():.2f} nats  {self.progress_suffix(latest)}{loss}".rstrip()
        )

    def progress_suffix(self, latest: Metrics) -> str:
        """Text that a method adds to its progress line, ended by two spaces."""
        return ""

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "step": self.step,
            "evaluated": self.children,
            "weights": self.supernet.weights.flat.detach(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "warmup_weights": self.warmup_weights,
            "warmup_images": self.warmup_images,
            "logits": self.prior.logits.detach(),
            "prior_optimizer": self.prior_optimizer.state_dict() if self.prior_optimizer else None,
            "streams": self.streams.state_dict(),
            "history": self.history,
            "rows": self._rows.state_dict(),
            "epoch_seconds": self._epoch_seconds,
            "device_seconds": self._device_seconds,
            "last_step": self._last_step,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.warmup_weights, self.warmup_images = state["warmup_weights"], state["warmup_images"]
        self.step, self.children, self._last_step = state["step"], state["evaluated"], state["last_step"]
        self._epoch_seconds, self._device_seconds = state["epoch_seconds"], state["device_seconds"]
        with torch.no_grad():
            self.supernet.weights.flat.copy_(state["weights"])
            self.prior.logits.copy_(state["logits"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        if self.prior_optimizer:
            self.prior_optimizer.load_state_dict(state["prior_optimizer"])
        self.streams.load_state_dict(state["streams"])
        self.history = [tuple(entry) for entry in state["history"]]
        self._rows.load_state_dict(state["rows"])
