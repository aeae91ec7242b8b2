"""Base of DARTS, SNAS and GDAS: logits of every operation on every edge, and shared weights v that a mixture reads.

C kinds of cells, E edges, O operations, B images. π is on the CPU, which decides what is launched; its gradient is the
only synchronisation per step.
"""

from functools import cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor

from parsec.network.spaces import mixed_op_network, shared_weights
from parsec.runtime.device import autocast
from parsec.runtime.optim import adam, sgd
from parsec.runtime.rng import generator
from parsec.search.base import Batch, Metrics, SearchTask, SearchTrainer
from parsec.search.budget import relative_cost
from parsec.search.executors.base import summed_cross_entropy
from parsec.search.executors.sequential import SequentialExecutor


class Relaxed(SearchTrainer):
    """A method that learns a mixture of operations; how it makes one from π, and by which gradients, is up to each.

    A pass of the mixture counts as one evaluated architecture, however many operations it runs; `forward_images` weighs
    it by its cost. `compute.executor` is for methods that run several architectures per step, and plays no part.
    """

    selection = (
        "derived from π after the last epoch (DARTS: the two strongest edges of a node; NAS-Bench-201: the argmax of "
        "every edge), chosen without looking at any accuracy; π saw the validation split, v the training split, and no "
        "test image was read"
    )
    passes = (1, 2)
    executor: SequentialExecutor
    prior_optimizer: torch.optim.Adam
    samples_one_op: ClassVar[bool] = False
    """Whether a pass runs one operation per edge, rather than all."""

    def __init__(self, task: SearchTask) -> None:
        super().__init__(task)
        settings, start = self.settings, generator(task.seed, "shared weights")
        self.supernet = shared_weights(task.prior.space, settings.network, task.classes, start, task.device)
        self.executor = SequentialExecutor(self.supernet, partial(autocast, task.device, task.job.compute.precision))
        self._mixed = mixed_op_network(self.supernet)
        self.prior = task.prior.to("cpu")
        if settings.init_from == "uniform":
            # Start near the uniform distribution, not exactly at it, as the code of DARTS does.
            logits, stream = self.prior.logits, generator(task.seed, "architecture logits")
            noise = torch.randn(logits.shape, dtype=logits.dtype, generator=stream)
            with torch.no_grad():
                logits.add_(settings.relaxation.initial_deviation * noise)
        self.weight_optimizer = sgd([self.supernet.weights.flat], settings.weights)
        self.prior_optimizer = adam([self.prior.logits], settings.relaxation)

    def by_cell(self, values: Tensor) -> Tensor:
        """Values of all edges (C E × O) by cell: [C, E, O]."""
        return values.view(len(self.prior.space.cells), -1, values.shape[-1])

    def loss(self, mixture: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a mixture [C, E, O] on a batch: 0-d, float64."""
        images, labels = batch
        self.children += 1
        with self.executor.autocast():
            logits = self._mixed(mixture, images)
        return summed_cross_entropy(logits, labels) / len(labels)

    def backward(self, loss: Tensor) -> None:
        """Overwrite the gradient of v, and that of π where the loss depends on it."""
        self.supernet.weights.gradient.zero_()
        self.prior.logits.grad = None
        loss.backward()

    def step_prior(self, gradient: Tensor | None) -> None:
        """Descend the gradient of the logits of π."""
        self.prior.logits.grad = gradient
        self.prior_optimizer.step()

    @classmethod
    def cost_per_pass(cls, task: SearchTask) -> float:
        """Sampled architectures that one pass of the mixture costs as much as."""
        network, size = task.job.settings.network, task.augment.image_size
        return relative_cost(task.prior.space, network, task.classes, size, cls.samples_one_op)

    @cached_property
    def relative_cost(self) -> float:
        """`cost_per_pass` of this search."""
        return self.cost_per_pass(self.task)

    @property
    def forward_images(self) -> int:
        """Images × architectures of the same multiply-adds passed forward so far."""
        return round(self.children * self.settings.batch_size * self.relative_cost)

    def _past_warmup(self, epoch: int) -> bool:
        return epoch >= self.settings.warmup.epochs

    def _metrics(self, rate: float, losses: dict[str, Tensor], **further: float) -> Metrics:
        """The metrics of a step, including the entropy of π."""
        detached = {name: loss.detach() for name, loss in losses.items()}
        return {"learning_rate": rate, **further, **detached, "entropy": self.prior.entropy_tensor()}

    def _annealed(self, temperatures: tuple[float, float], epoch: int) -> float:
        """Temperature of an epoch: falls by equal steps from the first of two in the first epoch to the last."""
        first, last = temperatures
        return first + (last - first) * epoch / max(self.settings.epochs - 1, 1)

    def rate_summary(self) -> list[str]:
        """Learning rates of v and π."""
        return [*super().rate_summary(), f"relaxation.learning_rate {self.settings.relaxation.learning_rate}"]
