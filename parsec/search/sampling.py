"""What both random searches share: children of a fixed prior, the training of their weights, and the best so far."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from parsec.errors import SettingsError
from parsec.network.executors.one import One
from parsec.network.executors.protocol import Child, summed_cross_entropy
from parsec.network.spaces import shared_weights
from parsec.runtime.device import autocast
from parsec.runtime.randomness import Streams, generator
from parsec.search.batches import Batch
from parsec.search.metrics import Row
from parsec.search.task import SearchTask
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
