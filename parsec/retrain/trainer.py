"""Training the network of a fixed genotype from scratch (DARTS, section 3.2 and its evaluation code).

SGD with momentum and weight decay on a cross entropy with label smoothing and an auxiliary head; drop-path that grows
with the epoch, gradients clipped by their global norm, cosine learning rate. No step waits for the device.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable
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
from parsec.runtime.optim import drop_path, learning_rate, sgd
from parsec.runtime.rng import ShardedRNG, Streams, generator
from parsec.space.darts import Genotype

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class RetrainTask:
    """Inputs of one training: an architecture, its settings, and the training images."""

    genotype: Genotype
    settings: RetrainStage
    compute: Compute
    images: AnyImages
    augment: Augment
    classes: int
    seed: int
    device: torch.device
    ranks: Ranks = SINGLE_PROCESS
    """Processes that every batch is split across."""


class Retrainer:
    """Trains one network; see `runtime.loop.Trainer` for how it is run, stopped and resumed."""

    def __init__(self, task: RetrainTask) -> None:
        self.task, self.settings = task, task.settings
        self.images_per_rank = shard_size(task.settings.batch_size, task.ranks)
        """Images of each batch that this process trains on; batch norm takes its statistics from them."""
        # The network, its compiled forward pass and its optimizer.
        self.network = build_network(task).train()
        self._compiled_forward = compile_if_asked(self._forward, task.compute, task.device)
        # Kept, because a step that collected them from over a thousand modules would wait for the host.
        self._parameters = list(self.network.parameters())
        self._optimizer = sgd(self._parameters, self.settings.optimizer)
        # Exponential moving average of the weights, and of batch norm's statistics, which belong to them.
        self._average: AveragedModel | None = None
        if self.settings.average is not None:
            decay = get_ema_multi_avg_fn(self.settings.average)
            self._average = AveragedModel(self.network, multi_avg_fn=decay, use_buffers=True)
        # Random streams, and this rank's images in the order of the epoch.
        self._streams = Streams(task.seed, task.device)
        self._order = (0, self._epoch_order(0))
        self.steps_per_epoch = len(self._order[1])
        self.step = 0
        self.total_steps = self.settings.epochs * self.steps_per_epoch
        # Metrics of the current epoch stay on the device until its end.
        self._loss_sum = torch.zeros((), dtype=torch.float64, device=task.device)
        self._correct = torch.zeros((), dtype=torch.int64, device=task.device)
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=task.device)
        self._seconds = 0.0
        self._throughput = Throughput()
        self.latest: dict[str, Any] = {}
        """Row of the last complete epoch."""

    def advance(self) -> list[dict[str, Any]]:
        """Take one step; the last step of an epoch returns its row of metrics.

        Raises:
            DivergedError: an epoch ended with a loss or weights that are not finite.
        """
        start = time.perf_counter()
        epoch, index = divmod(self.step, self.steps_per_epoch)
        self.train_step(epoch, index)
        self.step += 1
        if index + 1 < self.steps_per_epoch:
            self._seconds += time.perf_counter() - start
            return []
        # The end of an epoch is the only point that waits for the device.
        self.check_finite()
        self.latest = self._epoch_row(epoch, self._seconds + time.perf_counter() - start)
        self._loss_sum.zero_()
        self._correct.zero_()
        self._seconds = 0.0
        return [self.latest]

    def train_step(self, epoch: int, index: int) -> None:
        """One step of SGD on batch number `index` of an epoch, both counted from 0."""
        # This rank's shard of the batch, augmented: images [B / ranks, 3, H, W] and labels [B / ranks].
        images, labels = self._batch(epoch, index)
        # Drop-path: which edges of which images are dropped, with a probability that rises linearly with the epoch.
        masks = self._drop_path_masks(images, epoch)
        # Cross entropy of the classifier plus λ times that of the auxiliary head, in mixed precision; and its gradient.
        self._optimizer.zero_grad()
        with autocast(self.task.device, self.task.compute.precision):
            logits, loss = self._compiled_forward(images, labels, masks)
        loss.backward()
        # Loss, accuracy and gradients of the whole batch: means over the ranks' shards.
        correct = (logits.argmax(1) == labels).sum()
        loss, correct = average_gradients(self._parameters, loss.detach(), correct, self.task.ranks)
        # Clip the global norm of the gradient, then the SGD step at this epoch's learning rate.
        torch.nn.utils.clip_grad_norm_(self._parameters, self.settings.optimizer.gradient_clip)
        self._optimizer.param_groups[0]["lr"] = self._learning_rate(epoch)
        self._optimizer.step()
        if self._average:
            self._average.update_parameters(self.network)
        # Sums on the device; the first step with a bad loss is noted there, for the message at the end of the epoch.
        first_bad = ~loss.isfinite() & (self._bad_step < 0)
        self._bad_step = torch.where(first_bad, self.step + 1, self._bad_step)
        self._loss_sum += loss
        self._correct += correct

    def _forward(self, images: Tensor, labels: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        # What is compiled: logits [B, classes] and the loss. It reads nothing that changes except its arguments.
        logits, auxiliary = self.network(images, masks)
        loss = training_loss(logits, auxiliary, labels, self.settings.label_smoothing, self.settings.auxiliary_weight)
        return logits, loss

    def _epoch_order(self, epoch: int) -> Tensor:
        """Positions of this rank's images in all batches of an epoch, int64 [steps, B / ranks]."""
        order = epoch_order(len(self.task.images), self.settings.batch_size, self.task.seed, "order", epoch)
        shard: Tensor = order.split(self.images_per_rank, dim=1)[self.task.ranks.rank]
        return shard

    def _batch(self, epoch: int, index: int) -> tuple[Tensor, Tensor]:
        if self._order[0] != epoch:
            self._order = (epoch, self._epoch_order(epoch))
        images, augment, order, rng = self.task.images, self.task.augment, self._order[1], self._rng("augmentation")
        batch = images.train(order[index], augment, rng, self.step)
        # Decode the next batch on the host while the device trains on this one.
        if index + 1 < self.steps_per_epoch:
            images.ahead(order[index + 1], augment, rng, self.step + 1)
        return batch

    def _drop_path_masks(self, images: Tensor, epoch: int) -> Tensor | None:
        # With drop-path also in the first epoch, at probability 0, so that one compiled graph serves all epochs.
        if not self.settings.drop_path:
            return None
        value = drop_path(self.settings.drop_path, epoch, self.settings.epochs)
        probability = torch.full((), value, device=self.task.device)
        return self.network.masks(images, probability, self._rng("drop-path"))

    def _rng(self, name: str) -> ShardedRNG:
        return self._streams.sharded(name, self.task.ranks.rank, self.task.ranks.count)

    def _learning_rate(self, epoch: int) -> float:
        return learning_rate(self.settings.optimizer, epoch, self.settings.epochs)

    def _epoch_row(self, epoch: int, seconds: float) -> dict[str, Any]:
        images = self.steps_per_epoch * self.settings.batch_size
        return {
            "event": "epoch",
            "epoch": epoch + 1,
            "step": self.step,
            "train_loss": float(self._loss_sum) / self.steps_per_epoch,
            "train_accuracy": int(self._correct) / images,
            "learning_rate": self._learning_rate(epoch),
            "drop_path": drop_path(self.settings.drop_path, epoch, self.settings.epochs),
            "seconds": seconds,
            "images_per_second": self._throughput.add_epoch(images, seconds),
        }

    @property
    def trained_network(self) -> FixedNetwork:
        """The network that is tested and stored: the moving average if there is one."""
        if self._average is None:
            return self.network
        assert isinstance(self._average.module, FixedNetwork)
        return self._average.module

    @property
    def images_per_second(self) -> float | None:
        """Training throughput over the epochs whose rows have one; None if none has."""
        return self._throughput.images_per_second

    def flush(self) -> list[dict[str, Any]]:
        """No rows: there are some only at the end of an epoch."""
        return []

    def check_finite(self) -> None:
        """Refuse to go on, or to save, once the loss or a weight is not finite; waits for the device.

        Raises:
            DivergedError: with epoch, step, the settings that matter, and what to lower.
        """
        state = [value for value in self.network.state_dict().values() if value.is_floating_point()]
        if math.isfinite(self._loss_sum) and math.isfinite(torch.nn.utils.get_total_norm(state)):
            return
        # Without a bad loss it is the weights that are not finite, since the last step at the latest.
        step = int(self._bad_step) if self._bad_step >= 0 else self.step
        epoch = max(step - 1, 0) // self.steps_per_epoch
        raise DivergedError(
            f"the loss is no longer finite at epoch {epoch + 1}, step {step}: learning rate "
            f"{self._learning_rate(epoch):g}, optimizer.gradient_clip {self.settings.optimizer.gradient_clip:g}; "
            "lower optimizer.learning_rate or optimizer.gradient_clip"
        )

    def progress(self) -> str:
        """One-line summary of the training so far; waits for the device."""
        done = self.step % self.steps_per_epoch
        epoch = min(self.step // self.steps_per_epoch + 1, self.settings.epochs)
        loss = float(self._loss_sum) / done if done else self.latest.get("train_loss", math.nan)
        accuracy = int(self._correct) / (done * self.settings.batch_size) if done else self.latest.get("train_accuracy")
        metrics = "" if accuracy is None else f"  loss {loss:.3f}  training accuracy {accuracy:.1%}"
        return f"epoch {epoch}/{self.settings.epochs}{metrics}"

    def state_dict(self) -> dict[str, Any]:
        """Everything that decides the rest of the training."""
        return {
            "step": self.step,
            "network": dict(self.network.state_dict()),
            "average": self._average.state_dict() if self._average else None,
            "optimizer": self._optimizer.state_dict(),
            "streams": self._streams.state_dict(),
            "loss_sum": self._loss_sum,
            "correct": self._correct,
            "seconds": self._seconds,
            "timing": self._throughput.state_dict(),
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
        self._throughput.load_state_dict(state["timing"])
        # Copied, because the tensors of a checkpoint are on the CPU.
        self._loss_sum.copy_(state["loss_sum"])
        self._correct.copy_(state["correct"])


def training_loss(
    logits: Tensor, auxiliary: Tensor | None, labels: Tensor, label_smoothing: float, auxiliary_weight: float
) -> Tensor:
    """Cross entropy of the logits plus `auxiliary_weight` times that of the auxiliary head; mean over the batch.

    Args:
        logits: [B, classes], any floating type; the loss is computed in float32.
        auxiliary: logits of the auxiliary head, [B, classes]; None leaves its term out.
        labels: [B], int64.
        label_smoothing: share of the target that is spread evenly over all classes, in both terms.
        auxiliary_weight: weight of the second term (λ).
    """
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
    if auxiliary is None:
        return loss
    return loss + auxiliary_weight * F.cross_entropy(auxiliary.float(), labels, label_smoothing=label_smoothing)


def build_network(task: RetrainTask) -> FixedNetwork:
    """The network with its initial weights, on the device; the weights are equal on all devices."""
    settings = task.settings
    network = FixedNetwork(
        task.genotype, settings.network, task.classes, task.augment.image_size, settings.auxiliary_weight > 0
    )
    # Initialised on the CPU, then moved.
    initialise(network, generator(task.seed, "weights"))
    layout = memory_format(task.compute.layout)
    return network.to(task.device).to(memory_format=layout)  # type: ignore[call-overload, no-any-return]


def shard_size(batch_size: int, ranks: Ranks) -> int:
    """Images of a batch per rank.

    Raises:
        SettingsError: the batch cannot be split into equal shards of at least two images, which batch norm needs.
    """
    size, left_over = divmod(batch_size, ranks.count)
    if left_over or (size < 2 and ranks.count > 1):
        raise SettingsError(
            f"batch_size: {batch_size} images cannot be shared out in equal parts among {ranks.count} ranks; "
            "ask for another number of ranks, or change batch_size"
        )
    return size


def average_gradients(
    parameters: Iterable[Tensor], loss: Tensor, correct: Tensor, ranks: Ranks
) -> tuple[Tensor, Tensor]:
    """Replace the gradients of the shards' mean losses by that of the batch's mean loss, by one all-reduce.

    A single all-reduce after the backward pass: these networks have few weights for their work, so overlapping would
    gain little, and layers that a genotype leaves unused and compiled graphs need no special cases.

    Returns the mean loss and the number of correctly classified images of the whole batch, equal on all ranks.
    """
    if ranks.count == 1:
        return loss, correct
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    # Gradients, loss and count in one flat vector.
    flat = torch.cat([*(g.reshape(-1) for g in gradients), loss.reshape(1), correct.reshape(1).to(loss.dtype)])
    ranks.all_reduce_sum_(flat)
    # Means of all but the count, which stays a sum.
    flat[:-1] /= ranks.count
    *means, mean_loss, all_correct = flat.split([*(g.numel() for g in gradients), 1, 1])
    torch._foreach_copy_(gradients, [mean.view_as(g) for mean, g in zip(means, gradients, strict=True)])
    return mean_loss.squeeze(), all_correct.squeeze().round().to(correct.dtype)


def compile_if_asked(function: Callable[P, R], compute: Compute, device: torch.device) -> Callable[P, R]:
    """`function` as one compiled graph per set of shapes, or unchanged, according to `compute.compile`.

    On CUDA its launches are replayed as CUDA graphs. Tensors may change between calls; any other value that changes
    is compiled again.

    Raises:
        DeviceError: compiling was requested but fails here, for lack of a C++ compiler or of Triton.
    """
    if compute.compile == "off" or (compute.compile == "auto" and device.type != "cuda"):
        return function
    options: dict[str, Any] = {"triton.cudagraphs": device.type == "cuda", "deterministic": compute.deterministic}
    if problem := _compiler_problem(device, options):
        if compute.compile == "on":
            raise DeviceError(f"compute.compile: on, but {problem}; install a C++ compiler, or use auto or off")
        logger.warning("compute.compile: auto trains without compiling, because %s", problem)
        return function
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


def _compiler_problem(device: torch.device, options: dict[str, Any]) -> str | None:
    """One-line reason why torch.compile is unavailable, found by compiling `x + 1`; None if it works."""

    def add_one(x: Tensor) -> Tensor:
        return x + 1

    try:
        torch.compile(add_one, options=options)(torch.zeros(2, device=device))
    except Exception as error:  # whatever compilers, headers and drivers may lack
        return f"torch.compile fails here ({(str(error).splitlines() or [repr(error)])[0]})"
    return None


class Throughput:
    """Images per second over the epochs that a process ran completely, after its first, which compiles and warms up."""

    def __init__(self) -> None:
        self._images, self._seconds = 0, 0.0
        self._warm = False

    def add_epoch(self, images: int, seconds: float) -> float | None:
        """Count a complete epoch; returns its images per second, None for the first one of a process."""
        if not self._warm:
            self._warm = True
            return None
        self._images += images
        self._seconds += seconds
        return images / seconds

    @property
    def images_per_second(self) -> float | None:
        """Images per second over all counted epochs; None if there is none."""
        return self._images / self._seconds if self._images else None

    def state_dict(self) -> dict[str, Any]:
        """Images and seconds counted so far."""
        return {"images": self._images, "seconds": self._seconds}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue the count; the current epoch warms this process up."""
        self._images, self._seconds, self._warm = state["images"], state["seconds"], False
