"""Training the network of a fixed genotype from scratch (DARTS, section 3.2 and its evaluation code).

Stochastic gradient descent with momentum and weight decay, gradient clipped by its global norm, auxiliary head, label
smoothing, drop-path that grows with the epoch. Nothing in a step waits for the device.
"""

import math
import time
from typing import Any

import torch
from torch import Tensor

from parsec.data.order import epoch_order
from parsec.errors import DivergedError
from parsec.network.fixed import FixedNetwork
from parsec.network.initialise import initialise
from parsec.retrain.average import averaged_weights
from parsec.retrain.compiled import compiled
from parsec.retrain.loss import training_loss
from parsec.retrain.parallel import averaged, part_size
from parsec.retrain.task import RetrainTask
from parsec.retrain.timing import Timing
from parsec.runtime.device import autocast, memory_format
from parsec.runtime.draws import Draws
from parsec.runtime.randomness import Streams, generator
from parsec.schedule import drop_path, learning_rate


def build_network(task: RetrainTask) -> FixedNetwork:
    """The network with its initial weights, on the device; the weights are the same whatever the device."""
    settings = task.settings
    network = FixedNetwork(
        task.genotype, settings.network, task.classes, task.augment.image_size, settings.auxiliary_weight > 0
    )
    initialise(network, generator(task.seed, "weights"))
    layout = memory_format(task.compute.layout)
    return network.to(task.device).to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


class Retrainer:
    """One training, in steps; see `runtime.trainer.Trainer` for how it is run, stopped and resumed."""

    def __init__(self, task: RetrainTask) -> None:
        self.task, self.settings = task, task.settings
        self.part = part_size(task.settings.batch_size, task.ranks)
        """Images of each batch that this process trains on; batch norm takes its statistics from them."""
        self.network = build_network(task).train()
        self._average = averaged_weights(self.network, self.settings.average)
        self._compiled_forward = compiled(self._forward, task.compute, task.device)
        optimizer = self.settings.optimizer
        self._optimizer = torch.optim.SGD(
            self.network.parameters(),
            lr=optimizer.learning_rate,
            momentum=optimizer.momentum,
            weight_decay=optimizer.weight_decay,
            fused=True,
        )
        self._streams = Streams(task.seed, task.device)
        self._order = (0, self._draw_order(0))
        self.steps_per_epoch = len(self._order[1])
        self.step = 0
        self.total_steps = self.settings.epochs * self.steps_per_epoch
        self.latest: dict[str, Any] = {}
        """The row of the last epoch that is complete."""
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=task.device)
        self._correct = torch.zeros((), dtype=torch.int64, device=task.device)
        self._seconds = 0.0
        self._timing = Timing()
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=task.device)

    def advance(self) -> list[dict[str, Any]]:
        """Train on one batch; after the last one of an epoch, its metric row.

        Raises:
            DivergedError: an epoch ended with a loss or weights that are not finite.
        """
        began = time.perf_counter()
        epoch, index = divmod(self.step, self.steps_per_epoch)
        images, labels = self._batch(epoch, index)
        self._optimizer.param_groups[0]["lr"] = self._learning_rate(epoch)
        self._optimizer.zero_grad()
        with autocast(self.task.device, self.task.compute.precision):
            logits, loss = self._compiled_forward(images, labels, self._masks(images, epoch))
        loss.backward()
        correct = (logits.argmax(1) == labels).sum()
        loss, correct = averaged(list(self.network.parameters()), loss.detach(), correct, self.task.ranks)
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.optimizer.gradient_clip)
        self._optimizer.step()
        if self._average:
            self._average.update_parameters(self.network)
        self._count(loss, correct)
        self.step += 1
        return self._finish_step(epoch, index, began)

    def _draw_order(self, epoch: int) -> Tensor:
        return epoch_order(len(self.task.images), self.settings.batch_size, self.task.seed, "order", epoch)

    def _batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        if self._order[0] != epoch:
            self._order = (epoch, self._draw_order(epoch))
        images, augment, draws = self.task.images, self.task.augment, self._draws("augmentation")
        batch = images.train(self._mine(index), augment, draws, self.step)
        if index + 1 < self.steps_per_epoch:
            images.ahead(self._mine(index + 1), augment, draws, self.step + 1)
        return batch

    def _mine(self, index: int) -> Tensor:
        """Positions of this process's images of a batch of the epoch."""
        mine: Tensor = self._order[1][index].split(self.part)[self.task.ranks.rank]
        return mine

    def _draws(self, name: str) -> Draws:
        return self._streams.draws(name, self.task.ranks.rank, self.task.ranks.count)

    def _learning_rate(self, epoch: int) -> float:
        return learning_rate(self.settings.optimizer, epoch, self.settings.epochs)

    def _drop_path(self, epoch: int) -> float:
        return drop_path(self.settings.drop_path, epoch, self.settings.epochs)

    def _masks(self, images: Tensor, epoch: int) -> Tensor | None:
        """Drop-path's draws; they exist from the first epoch on if any has them, so that one compiled graph serves."""
        if not self.settings.drop_path:
            return None
        probability = torch.full((), self._drop_path(epoch), device=self.task.device)
        return self.network.masks(images, probability, self._draws("drop-path"))

    def _forward(self, images: Tensor, labels: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits [B, classes] and the loss; what is compiled, so it reads nothing that changes but its arguments."""
        logits, auxiliary = self.network(images, masks)
        loss = training_loss(logits, auxiliary, labels, self.settings.label_smoothing, self.settings.auxiliary_weight)
        return logits, loss

    def _count(self, loss: Tensor, correct: Tensor) -> None:
        first_bad = ~loss.isfinite() & (self._bad_step < 0)
        self._bad_step = torch.where(first_bad, self.step + 1, self._bad_step)
        self._loss_sum += loss
        self._correct += correct

    def _finish_step(self, epoch: int, index: int, began: float) -> list[dict[str, Any]]:
        if index + 1 < self.steps_per_epoch:
            self._seconds += time.perf_counter() - began
            return []
        self.check_finite()
        seconds = self._seconds + time.perf_counter() - began
        self.latest = {
            "event": "epoch",
            "epoch": epoch + 1,
            "step": self.step,
            "train_loss": float(self._loss_sum) / self.steps_per_epoch,
            "train_accuracy": int(self._correct) / (self.steps_per_epoch * self.settings.batch_size),
            "learning_rate": self._learning_rate(epoch),
            "drop_path": self._drop_path(epoch),
            "seconds": seconds,
            "images_per_second": self._timing.epoch(self.steps_per_epoch * self.settings.batch_size, seconds),
        }
        self._loss_sum.zero_()
        self._correct.zero_()
        self._seconds = 0.0
        return [self.latest]

    @property
    def tested(self) -> FixedNetwork:
        """The network whose weights are tested and kept: the moving average where there is one."""
        if self._average is None:
            return self.network
        assert isinstance(self._average.module, FixedNetwork)
        return self._average.module

    @property
    def images_per_second(self) -> float | None:
        """Rate of training over the epochs whose rows have one; None if none has."""
        return self._timing.rate

    def flush(self) -> list[dict[str, Any]]:
        """Nothing: rows exist at the ends of epochs alone."""
        return []

    def check_finite(self) -> None:
        """Refuse to go on, or to save, once the loss or a weight is not finite.

        Raises:
            DivergedError: with epoch, step, the settings that matter, and what to lower.
        """
        state = [value for value in self.network.state_dict().values() if value.is_floating_point()]
        if math.isfinite(self._loss_sum) and math.isfinite(torch.nn.utils.get_total_norm(state)):
            return
        # The step is read from the device only now, so that no step waits for it; weights may be what is not finite.
        step = int(self._bad_step) if self._bad_step >= 0 else self.step
        epoch = max(step - 1, 0) // self.steps_per_epoch
        raise DivergedError(
            f"the loss is no longer finite at epoch {epoch + 1}, step {step}: learning rate "
            f"{self._learning_rate(epoch):g}, optimizer.gradient_clip {self.settings.optimizer.gradient_clip:g}; "
            "lower optimizer.learning_rate or optimizer.gradient_clip"
        )

    def progress(self) -> str:
        """One line on where training stands; waits for the device."""
        done = self.step % self.steps_per_epoch
        epoch = min(self.step // self.steps_per_epoch + 1, self.settings.epochs)
        loss = float(self._loss_sum) / done if done else self.latest.get("train_loss", math.nan)
        accuracy = int(self._correct) / (done * self.settings.batch_size) if done else self.latest.get("train_accuracy")
        shown = "" if accuracy is None else f"  loss {loss:.3f}  training accuracy {accuracy:.1%}"
        return f"epoch {epoch}/{self.settings.epochs}{shown}"

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the training depends on."""
        return {
            "step": self.step,
            "network": dict(self.network.state_dict()),
            "average": self._average.state_dict() if self._average else None,
            "optimizer": self._optimizer.state_dict(),
            "streams": self._streams.state_dict(),
            "loss_sum": self._loss_sum,
            "correct": self._correct,
            "seconds": self._seconds,
            "timing": self._timing.state_dict(),
            "latest": self.latest,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.step, self._seconds, self.latest = state["step"], state["seconds"], state["latest"]
        self.network.load_state_dict(state["network"])
        if self._average:
            self._average.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._streams.load_state_dict(state["streams"])
        self._timing.load_state_dict(state["timing"])
        self._loss_sum.copy_(state["loss_sum"])
        self._correct.copy_(state["correct"])
