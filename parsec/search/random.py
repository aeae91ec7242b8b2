"""Random search, each architecture trained from scratch or all with shared weights (Li and Talwalkar, UAI 2019)."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from parsec.errors import SettingsError
from parsec.network.spaces import Child, shared_weights
from parsec.runtime.device import autocast
from parsec.runtime.optim import learning_rate
from parsec.runtime.rng import Streams, generator
from parsec.search.base import Batch, Row, SearchTask, Stepwise
from parsec.search.executors.base import summed_cross_entropy
from parsec.search.executors.sequential import One
from parsec.space.spaces import Architecture


class Sampling:
    """Weights v, their optimiser, and the best child; the prior stays as it was given."""

    def __init__(self, task: SearchTask, streams: Streams) -> None:
        if task.ranks.count > 1:
            raise SettingsError(f"the method {task.job.method} runs in one process; start it without torchrun")
        self._task, self._streams = task, streams
        self.prior = task.prior.to("cpu")
        self.children = 0
        """Children trained for a step or judged so far."""
        self.best: Architecture | None = None
        self.best_accuracy = 0.0
        self.begin("shared weights")

    def begin(self, *name: str | int) -> None:
        """New weights, from the random stream of this name, and a new optimiser."""
        task, weights = self._task, self._task.job.settings.weights
        start = generator(task.seed, *name)
        self.supernet = shared_weights(task.prior.space, task.job.settings.network, task.classes, start, task.device)
        self._one = One(self.supernet, partial(autocast, task.device, task.job.compute.precision))
        self.weight_optimizer = torch.optim.SGD(
            [self.supernet.bank.flat],
            lr=weights.learning_rate,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
            fused=True,
        )

    def draw(self, stream: str) -> Architecture:
        """A child of the prior, from a random stream."""
        found: Architecture = self.prior.children(self.prior.sample(1, self._streams.cpu(stream))).genotypes[0]
        return found

    def first(self) -> Architecture:
        """A child of the prior, the same at all times."""
        found: Architecture = self.prior.children(
            self.prior.sample(1, generator(self._task.seed, "first child"))
        ).genotypes[0]
        return found

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        return self._one.logits(child, images)

    def train(self, child: Architecture, batch: Batch, rate: float) -> Tensor:
        """One step of v on a child; the loss of an image, 0-d, float64."""
        images, labels = batch
        self.children += 1
        self.supernet.bank.gradient.zero_()
        loss = summed_cross_entropy(self.logits(child, images), labels) / len(labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_([self.supernet.bank.flat], self._task.job.settings.weights.gradient_clip)
        self.weight_optimizer.param_groups[0]["lr"] = rate
        self.weight_optimizer.step()
        return loss.detach()

    def judge(self, child: Architecture, accuracy: Callable[[Architecture], float]) -> Row:
        """Keep a child if it is better than all before, of equals the first."""
        self.children += 1
        found = accuracy(child)
        if self.best is None or found > self.best_accuracy:
            self.best, self.best_accuracy = child, found
        return {"candidate_accuracy": found, "best_accuracy": self.best_accuracy}

    def finite(self) -> bool:
        """Whether v is finite; waits for the device."""
        return bool(self.supernet.bank.flat.isfinite().all())

    def state_dict(self) -> dict[str, Any]:
        """v, what its optimiser remembers, and the best child."""
        return {
            "children": self.children,
            "weights": self.supernet.bank.flat.detach(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "best": None if self.best is None else self.prior.space.encode(self.best, "separate"),
            "best_accuracy": self.best_accuracy,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.children, best = state["children"], state["best"]
        with torch.no_grad():
            self.supernet.bank.flat.copy_(state["weights"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.best = None if best is None else self.prior.space.decode(best, "separate")
        self.best_accuracy = state["best_accuracy"]


class Trained(Sampling):
    """The weights of the architecture that is being trained, and how far the best one's took it."""

    child: Architecture | None = None
    """The architecture that is being trained."""

    def next(self, number: int) -> None:
        """Draw architecture number `number`, with new weights."""
        self.child = self.draw("architectures")
        self.begin("weights of an architecture", number)

    def state_dict(self) -> dict[str, Any]:
        """The state of the weights, and which architecture they belong to."""
        child = None if self.child is None else self.prior.space.encode(self.child, "separate")
        return {**super().state_dict(), "child": child}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self.child = None if state["child"] is None else self.prior.space.decode(state["child"], "separate")


class RandomSearch(Stepwise[Trained]):
    """Random search; an epoch is one of an architecture's, and they come one architecture after another.

    Until one was trained, the selected one is another random one.
    """

    selection = (
        "the best on the validation half of `random.architectures` draws of the prior, each trained alone for "
        "`random.epochs` epochs on the training half; no test image was read"
    )

    def _learner(self) -> Trained:
        return Trained(self.task, self._streams)

    @property
    def epochs(self) -> int:
        """Epochs to do, of all architectures together."""
        return self.settings.random.architectures * self.settings.random.epochs

    @property
    def child_images(self) -> int:
        """Forward passes of single images through architectures so far, those of the judging included."""
        judged = self.epoch // self.settings.random.epochs
        return (self.children - judged) * self.settings.batch_size + judged * len(self.task.validation)

    def _learn(self, epoch: int) -> Row:
        updates, number, within = self.updates, *divmod(epoch, self.settings.random.epochs)
        steps = self.settings.random.epochs * self._batches.per_epoch
        if self.step % steps == 0:
            updates.next(number)
        assert updates.child is not None
        rate = learning_rate(self.settings.weights, within, self.settings.random.epochs)
        loss = updates.train(updates.child, self._batches.training(self.step), rate)
        row = {"learning_rate": rate, "train_loss": loss}
        if (self.step + 1) % steps == 0:
            row |= updates.judge(updates.child, super().accuracy)
        return row

    @property
    def decided(self) -> bool:
        """Whether any was judged."""
        return self.updates.best is not None

    def genotype(self) -> Architecture:
        """The best architecture so far; before any was judged a random one."""
        return self.updates.best or self.updates.first()

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] on the validation half: of the best architecture with the weights it was trained to.

        Others, which the weights at hand were not trained for, get what these give them.
        """
        return self.updates.best_accuracy if child == self.updates.best else super().accuracy(child)

    def _figures(self, last: Row) -> str:
        return f"best accuracy {100 * self.updates.best_accuracy:.1f} %  " if self.updates.best else ""


class RandomShared(Stepwise[Sampling]):
    """Random search with shared weights; the epoch after the last is that of the judging.

    Until a child was judged, the selected one is the first that would be, which is a random one.
    """

    selection = (
        "the best on the validation half, with shared weights, of `random.candidates` children of the prior; v saw the "
        "training half, and no test image was read"
    )

    def _learner(self) -> Sampling:
        return Sampling(self.task, self._streams)

    @property
    def _trained(self) -> int:
        """Steps that train v."""
        return self.settings.epochs * self._batches.per_epoch if self._cut is None else self._cut

    @property
    def epochs(self) -> int:
        """Epochs to do, that of the judging included."""
        return self._trained // self._batches.per_epoch + 1

    @property
    def total_steps(self) -> int:
        """Steps to do."""
        return self._trained + self.settings.random.candidates

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        if self.step < self._trained:
            return self.step // self._batches.per_epoch
        return self._trained // self._batches.per_epoch + (self.step == self.total_steps)

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far, those of the judging included."""
        judged = max(self.step - self._trained, 0)
        return (self.children - judged) * self.settings.batch_size + judged * len(self.task.validation)

    def _learn(self, epoch: int) -> Row:
        if self.step >= self._trained:
            return self.updates.judge(self.updates.draw("candidates"), self.accuracy)
        rate = learning_rate(self.settings.weights, epoch, self.settings.epochs)
        child = self.updates.draw("architectures")
        return {"learning_rate": rate, "train_loss": self.updates.train(child, self._batches.training(self.step), rate)}

    @property
    def decided(self) -> bool:
        """Whether any was judged."""
        return self.updates.best is not None

    def genotype(self) -> Architecture:
        """The best child so far; before any was judged a random one."""
        return self.updates.best or self.updates.first()

    def _figures(self, last: Row) -> str:
        return f"best accuracy {100 * self.updates.best_accuracy:.1f} %  " if self.updates.best else ""
