"""Training the network of a fixed genotype from scratch (DARTS, section 3.2 and its evaluation code).

Stochastic gradient descent with momentum and weight decay, gradient clipped by its global norm, auxiliary head, label
smoothing, drop-path that grows with the epoch. Nothing in a step waits for the device.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from parsec.config.base import Compute
from parsec.config.retrain import RetrainStage
from parsec.data.augment import Augment
from parsec.data.loader import AnyImages, epoch_order
from parsec.errors import DeviceError, DivergedError, SettingsError
from parsec.network.cell_network import FixedNetwork
from parsec.network.layers import initialise
from parsec.runtime.device import autocast, memory_format
from parsec.runtime.distributed import SINGLE_PROCESS, Ranks
from parsec.runtime.optim import drop_path, learning_rate
from parsec.runtime.rng import ShardedRNG, Streams, generator
from parsec.space.darts import Genotype


def training_loss(
    logits: Tensor, auxiliary: Tensor | None, labels: Tensor, label_smoothing: float, auxiliary_weight: float
) -> Tensor:
    """Cross entropy of the logits plus `auxiliary_weight` times that of the auxiliary head's; a mean over the batch.

    Args:
        logits: [B, classes], any floating type; the loss is computed in float32.
        auxiliary: the same of the auxiliary head; None leaves its term out.
        labels: [B], int64.
        label_smoothing: share of the target that is spread evenly over all classes, in both terms.
        auxiliary_weight: weight of the second term.
    """
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
    if auxiliary is None:
        return loss
    return loss + auxiliary_weight * F.cross_entropy(auxiliary.float(), labels, label_smoothing=label_smoothing)


def averaged_weights(network: FixedNetwork, decay: float | None) -> AveragedModel | None:
    """An average that begins as the first weights that it is given; None without a decay.

    The running statistics of batch norm are averaged with the weights, so that they belong together.
    """
    if decay is None:
        return None
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], compute: Compute, device: torch.device) -> Callable[P, R]:
    """`function` as one compiled graph for every set of shapes, or as it is where `compute.compile` means that.

    On CUDA its launches are replayed as CUDA graphs. Tensors change freely between calls; any other value that does
    is a compilation of its own.

    Raises:
        DeviceError: compiling was asked for and this machine cannot: it has no C++ compiler, or no Triton.
    """
    if compute.compile == "off" or (compute.compile == "auto" and device.type != "cuda"):
        return function
    options: dict[str, Any] = {"triton.cudagraphs": device.type == "cuda", "deterministic": compute.deterministic}
    if problem := _problem(device, options):
        if compute.compile == "on":
            raise DeviceError(f"compute.compile: on, but {problem}; install a C++ compiler, or use auto or off")
        logger.warning("compute.compile: auto trains without compiling, because %s", problem)
        return function
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


def _problem(device: torch.device, options: dict[str, Any]) -> str | None:
    """Why this machine cannot compile, on one line; found by compiling one addition. None if it can."""
    try:
        torch.compile(_next, options=options)(torch.zeros(2, device=device))
    except Exception as error:  # whatever compilers, headers and drivers may lack
        return f"torch.compile fails here ({(str(error).splitlines() or [repr(error)])[0]})"
    return None


def _next(x: torch.Tensor) -> torch.Tensor:
    return x + 1


def part_size(batch_size: int, ranks: Ranks) -> int:
    """Images of a batch that every rank trains on.

    Raises:
        SettingsError: the batch cannot be shared out in equal parts of two images or more.
    """
    size, left_over = divmod(batch_size, ranks.count)
    if left_over or (size < 2 and ranks.count > 1):
        raise SettingsError(
            f"batch_size: {batch_size} images cannot be shared out in equal parts among {ranks.count} ranks; "
            "ask for another number of ranks, or change batch_size"
        )
    return size


def averaged(parameters: Sequence[Tensor], loss: Tensor, correct: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """Turn the gradients of all parts' mean losses into that of the batch's, in place, by one sum over the ranks.

    One sum of all numbers after the backward pass: these networks have few weights for their work, so sending some of
    them earlier would gain little, and layers that a genotype leaves unused and compiled graphs need no exceptions.

    Returns the mean loss and the number of images classified correctly, of the whole batch, the same on all ranks.
    """
    if ranks.count == 1:
        return loss, correct
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    numbers = torch.cat([*(g.reshape(-1) for g in gradients), loss.reshape(1), correct.reshape(1).to(loss.dtype)])
    ranks.all_reduce_sum_(numbers)
    numbers[:-1] /= ranks.count
    *means, mean_loss, all_correct = numbers.split([*(g.numel() for g in gradients), 1, 1])
    torch._foreach_copy_(gradients, [mean.view_as(g) for mean, g in zip(means, gradients, strict=True)])
    return mean_loss.squeeze(), all_correct.squeeze().round().to(correct.dtype)


class Timing:
    """Counts the epochs that one process ran from end to end after its first; that one compiles and warms up."""

    def __init__(self) -> None:
        self._images, self._seconds = 0, 0.0
        self._warm = False

    def epoch(self, images: int, seconds: float) -> float | None:
        """Note an epoch that has ended; its images a second, None for the first one of a process."""
        if not self._warm:
            self._warm = True
            return None
        self._images += images
        self._seconds += seconds
        return images / seconds

    @property
    def rate(self) -> float | None:
        """Images a second over all counted epochs; None if there is none."""
        return self._images / self._seconds if self._images else None

    def state_dict(self) -> dict[str, Any]:
        """What was counted."""
        return {"images": self._images, "seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the count; the epoch at hand warms this process up."""
        self._images, self._seconds, self._warm = state["images"], state["seconds"], False


@dataclass(frozen=True)
class RetrainTask:
    """One training: the architecture, its settings, and the images that it learns from."""

    genotype: Genotype
    settings: RetrainStage
    compute: Compute
    images: AnyImages
    augment: Augment
    classes: int
    seed: int
    device: torch.device
    ranks: Ranks = SINGLE_PROCESS
    """The processes that share every batch out."""


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

    def _draws(self, name: str) -> ShardedRNG:
        return self._streams.sharded(name, self.task.ranks.rank, self.task.ranks.count)

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
