"""What DARTS, SNAS and GDAS share: logits of every primitive on every edge, and shared weights v that a mixture reads.

C kinds of cells, E edges, O primitives, B images. π lies on the CPU, which decides what is launched; its gradient, once
a step, is what the host waits for.
"""

from functools import cached_property, partial
from typing import Any, ClassVar

import torch
from torch import Tensor

from parsec.errors import SettingsError
from parsec.network.spaces import Child, relaxed, shared_weights
from parsec.runtime.device import autocast
from parsec.runtime.optim import learning_rate
from parsec.runtime.rng import Streams, generator
from parsec.search.base import Batch, Row, SearchTask, Stepwise
from parsec.search.executors.base import summed_cross_entropy
from parsec.search.executors.sequential import One
from parsec.search.relative_cost import worth


class RelaxedUpdates:
    """π, v and their optimisers.

    A pass of the mixture counts as one child, however many primitives it runs; `Relaxed.child_images` counts them in.
    `compute.executor` is for methods that run several children a step, and plays no part.
    """

    def __init__(self, task: SearchTask, streams: Streams) -> None:
        if task.ranks.count > 1:
            raise SettingsError(f"the method {task.job.method} runs in one process; start it without torchrun")
        self._task, self._streams = task, streams
        settings, space = task.job.settings, task.prior.space
        self.supernet = shared_weights(
            space, settings.network, task.classes, generator(task.seed, "shared weights"), task.device
        )
        context = partial(autocast, task.device, task.job.compute.precision)
        self._one, self._mixed, self._autocast = One(self.supernet, context), relaxed(self.supernet), context
        self.prior = task.prior.to("cpu")
        if settings.start == "uniform":
            self._disturb(settings.relaxation.initial_deviation)
        weights, relaxation = settings.weights, settings.relaxation
        self.weight_optimizer = torch.optim.SGD(
            [self.supernet.bank.flat],
            lr=weights.learning_rate,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
            fused=True,
        )
        self.prior_optimizer = torch.optim.Adam(
            [self.prior.logits],
            lr=relaxation.learning_rate,
            betas=relaxation.betas,
            weight_decay=relaxation.weight_decay,
            fused=True,
        )
        self.children = 0
        """Passes of the mixture so far."""

    def _disturb(self, deviation: float) -> None:
        """Start beside the uniform distribution, as the code of DARTS does."""
        logits = self.prior.logits
        noise = torch.randn(
            logits.shape, dtype=logits.dtype, generator=generator(self._task.seed, "architecture logits")
        )
        with torch.no_grad():
            logits.add_(deviation * noise)

    def by_cell(self, values: Tensor) -> Tensor:
        """Values of all edges (C E × O) by cell: [C, E, O]."""
        return values.view(len(self.prior.space.cells), -1, values.shape[-1])

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        return self._one.logits(child, images)

    def loss(self, mixture: Tensor, batch: Batch) -> Tensor:
        """Mean cross-entropy of a mixture [C, E, O] on a batch: 0-d, float64."""
        images, labels = batch
        self.children += 1
        with self._autocast():
            logits = self._mixed(mixture, images)
        return summed_cross_entropy(logits, labels) / len(labels)

    def backward(self, loss: Tensor) -> None:
        """Write the gradient of v, and that of π where the loss depends on it, in the place of those before."""
        self.supernet.bank.gradient.zero_()
        self.prior_optimizer.zero_grad()
        loss.backward()

    def step_prior(self, gradient: Tensor | None) -> None:
        """Descend the gradient of the logits of π."""
        self.prior.logits.grad = gradient
        self.prior_optimizer.step()

    def step_weights(self, rate: float) -> None:
        """Descend the gradient of v, clipped."""
        torch.nn.utils.clip_grad_norm_([self.supernet.bank.flat], self._task.job.settings.weights.gradient_clip)
        self.weight_optimizer.param_groups[0]["lr"] = rate
        self.weight_optimizer.step()

    def finite(self) -> bool:
        """Whether π and v are finite; waits for the device."""
        return all(bool(values.isfinite().all()) for values in (self.supernet.bank.flat, self.prior.logits))

    def state_dict(self) -> dict[str, Any]:
        """π, v, and what their optimisers remember."""
        return {
            "children": self.children,
            "weights": self.supernet.bank.flat.detach(),
            "weight_optimizer": self.weight_optimizer.state_dict(),
            "logits": self.prior.logits.detach(),
            "prior_optimizer": self.prior_optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.children = state["children"]
        with torch.no_grad():
            self.supernet.bank.flat.copy_(state["weights"])
            self.prior.logits.copy_(state["logits"])
        self.weight_optimizer.load_state_dict(state["weight_optimizer"])
        self.prior_optimizer.load_state_dict(state["prior_optimizer"])


class Relaxed(Stepwise[RelaxedUpdates]):
    """A method that learns a mixture; how it makes one from π, and by which gradients, is up to each."""

    selection = (
        "derived from π after the last epoch (DARTS: the two strongest edges of a node; NAS-Bench-201: the argmax of "
        "every edge), chosen without looking at any accuracy; π saw the validation half, v the training half, and no "
        "test image was read"
    )
    passes = (1, 2)
    hard: ClassVar[bool] = False
    """Whether a pass runs one primitive an edge, and not all."""

    def _learner(self) -> RelaxedUpdates:
        return RelaxedUpdates(self.task, self._streams)

    @cached_property
    def worth(self) -> float:
        """Children that a pass counts for."""
        task = self.task
        return worth(task.prior.space, task.job.settings.network, task.classes, task.augment.image_size, hard=self.hard)

    @property
    def child_images(self) -> int:
        """Forward passes of single images so far, in those through a mean child of the same multiply-adds."""
        return round(self.children * self.settings.batch_size * self.worth)

    def _rate(self, epoch: int) -> float:
        """Learning rate of v."""
        return learning_rate(self.settings.weights, epoch, self.settings.epochs)

    def _warm(self, epoch: int) -> bool:
        """Whether the warm-up is over, so that π is learnt."""
        return epoch >= self.settings.warmup_epochs

    def _measured(self, rate: float, losses: dict[str, Tensor], **further: float) -> Row:
        """A row of a step, entropy included."""
        found = {name: loss.detach() for name, loss in losses.items()}
        return {"learning_rate": rate, **further, **found, "entropy": self.prior.exact_entropy()}

    def _progress_through(self, epoch: int) -> float:
        """Where an epoch lies between the first (0) and the last (1)."""
        return epoch / max(self.settings.epochs - 1, 1)

    def _rates(self) -> list[str]:
        return [*super()._rates(), f"relaxation.learning_rate {self.settings.relaxation.learning_rate}"]
