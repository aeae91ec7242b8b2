"""PARSEC: the sampling trainer that learns π and the shared weights v together (arXiv 1902.05116, section 2).

Every iteration takes a π-step on a validation batch and a v-step on a training batch, each with K fresh children
drawn from the current p(α|π).
"""

import math
import time
from typing import Any

import torch
from torch import Tensor

from parsec.data.order import epoch_order
from parsec.errors import DivergedError
from parsec.estimator import effective_sample_size, importance_weights, prior_coefficients, sample_count, temperature
from parsec.network.complexity import network_cost
from parsec.network.executors.choose import executor_for
from parsec.network.executors.protocol import accumulate
from parsec.network.supernet import Supernet
from parsec.prior.children import Children
from parsec.runtime.randomness import Streams, generator
from parsec.schedule import learning_rate
from parsec.search.operations import expected_operations
from parsec.search.task import History, SearchTask
from parsec.space.genotype import Genotype

MEANS = ("ess_prior", "ess_weights", "samples", "train_loss", "validation_loss")


class Parsec:
    """The sampling trainer, in steps; see `runtime.loop.Trainer` for how it is run, stopped and resumed."""

    def __init__(self, task: SearchTask) -> None:
        self.task, self.settings = task, task.job.settings
        self.prior = task.prior
        start = generator(task.seed, "shared weights")
        self.supernet = Supernet(self.settings.network, task.classes, start, device=task.device)
        self.executor = executor_for(self.supernet, task.job.compute, self.settings.batch_size, task.augment.image_size)
        weights, prior = self.settings.weights, self.settings.prior
        self._weight_optimizer = torch.optim.SGD(
            [self.supernet.bank.flat],
            lr=weights.learning_rate,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
        )
        self._prior_optimizer = torch.optim.Adam([self.prior.logits], lr=prior.learning_rate, betas=prior.betas)
        self._streams = Streams(task.seed, task.device)
        self._steps_per_epoch = len(task.train) // self.settings.batch_size
        self._order = (-1, torch.empty(0))
        self.step, self.children, self.child_images = 0, 0, 0
        self.total_steps = self.settings.epochs * self._steps_per_epoch
        self.history: History = [(0, 0, self.prior.logits.detach().clone())]
        self._sums: dict[str, float] = {}
        self._seconds = 0.0
        self._last: dict[str, Any] = {}

    @property
    def epoch(self) -> int:
        """Epochs that are complete."""
        return self.step // self._steps_per_epoch

    def advance(self) -> list[dict[str, Any]]:
        """Take one π-step and one v-step; returns the metric rows that are finished."""
        rows = [self._epoch_row()] if self.step == 0 else []
        began = time.perf_counter()
        rate = learning_rate(self.settings.weights, self.epoch, self.settings.epochs)
        self._weight_optimizer.param_groups[0]["lr"] = rate
        epoch = self.epoch
        measured = self._prior_step() if epoch >= self.settings.warmup_epochs else {}
        measured |= self._weight_step(epoch)
        self.step += 1
        self._last = {"event": "step", "epoch": epoch + 1, "step": self.step, "learning_rate": rate, **measured}
        self.check_finite()
        self._sums |= {name: self._sums.get(name, 0.0) + measured[name] for name in MEANS if name in measured}
        self._seconds += time.perf_counter() - began
        rows.append(self._last)
        if self.step % self._steps_per_epoch == 0:
            self.history.append((self.epoch, self.step, self.prior.logits.detach().clone()))
            rows.append(self._epoch_row())
            self._sums, self._seconds = {}, 0.0
        return rows

    def _draw(self) -> tuple[Tensor, Children]:
        """K architectures from p(α|π), as chosen indices and as children."""
        count = sample_count(self.settings.estimator, self.prior.entropy())
        chosen = self.prior.sample(count, self._streams.cpu("architectures"))
        self.children += count
        self.child_images += count * self.settings.batch_size
        return chosen, self.prior.children(chosen)

    def _prior_step(self) -> dict[str, float]:
        """Ascend Σ_k (ω_k − b) ∇_π log p(α_k|π) on a validation batch."""
        images, labels = self._validation_batch()
        chosen, children = self._draw()
        log_likelihood = self.executor.log_likelihoods(children, images, labels).cpu()
        weights = importance_weights(log_likelihood, temperature(self.settings.estimator, len(labels)))
        coefficients = prior_coefficients(self.settings.estimator, weights, self._multiply_adds(children))
        self._prior_optimizer.zero_grad()
        (-(coefficients * self.prior.log_prob(chosen)).sum()).backward()
        self._prior_optimizer.step()
        return {
            "ess_prior": float(effective_sample_size(weights)),
            "validation_loss": -float((weights * log_likelihood).sum()) / len(labels),
        }

    def _weight_step(self, epoch: int) -> dict[str, float]:
        """Ascend Σ_k ω_k ∇_v log p(y|X,v,α_k) on a training batch."""
        images, labels = self._training_batch(epoch)
        _, children = self._draw()
        tempered = temperature(self.settings.estimator, self.settings.batch_size)
        seen = accumulate(self.executor, children, images, labels, tempered)
        torch.nn.utils.clip_grad_norm_([self.supernet.bank.flat], self.settings.weights.gradient_clip)
        self._weight_optimizer.step()
        return {
            "samples": len(children),
            "entropy": self.prior.entropy(),
            "ess_weights": float(seen.effective_sample_size),
            "train_loss": float(seen.loss),
        }

    def _multiply_adds(self, children: Children) -> Tensor | None:
        """Multiply-adds of the children in the network of this stage (K, float64); None if cost plays no part."""
        if self.settings.estimator.cost_weight == 0.0:
            return None
        size = self.task.augment.image_size
        costs = [network_cost(child, self.settings.network, self.task.classes, size) for child in children.genotypes]
        return torch.tensor([cost.multiply_adds for cost in costs], dtype=torch.float64)

    def _training_batch(self, epoch: int) -> tuple[Tensor, Tensor]:
        if self._order[0] != epoch:
            count, size = len(self.task.train), self.settings.batch_size
            self._order = (epoch, epoch_order(count, size, self.task.seed, "training order", epoch))
        images, labels = self.task.train.gather(self._order[1][self.step % self._steps_per_epoch])
        return self.task.augment.train(images, self._streams.device("training augmentation")), labels

    def _validation_batch(self) -> tuple[Tensor, Tensor]:
        """Draw a validation batch anew, as DARTS does, whatever the size of the validation half."""
        order = torch.randperm(len(self.task.validation), generator=self._streams.cpu("validation order"))
        images, labels = self.task.validation.gather(order[: self.settings.batch_size])
        return self.task.augment.train(images, self._streams.device("validation augmentation")), labels

    def genotype(self) -> Genotype:
        """The mode of π."""
        return self.prior.mode()

    def accuracy(self, child: Genotype) -> float:
        """Accuracy in [0, 1] of a child with shared weights on the validation half, with batch statistics.

        The images are shuffled, because those of a folder lie class by class, and the statistics of a batch of one
        class are not those that v was trained with; for the same reason no batch is smaller than in training.
        """
        count = len(self.task.validation)
        order = torch.randperm(count, generator=generator(self.task.seed, "accuracy order"))
        correct = torch.zeros((), dtype=torch.int64, device=self.task.device)
        with torch.no_grad():
            for indices in order.tensor_split(count // self.settings.batch_size):
                images, labels = self.task.validation.gather(indices)
                logits = self.executor.logits(child, self.task.augment.evaluate(images))
                correct += (logits.argmax(1) == labels).sum()
        return float(correct) / count

    def _epoch_row(self) -> dict[str, Any]:
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
            row |= {name: total / self._steps_per_epoch for name, total in self._sums.items()}
            row["seconds"] = self._seconds
        return row

    def check_finite(self) -> None:
        """Refuse to go on, or to save, once a loss, a weight or a logit of π is not finite.

        Raises:
            DivergedError: with the step, the settings that matter, and what to lower.
        """
        losses = [self._last.get("train_loss", 0.0), self._last.get("validation_loss", 0.0)]
        state = (self.supernet.bank.flat, self.prior.logits)
        if all(map(math.isfinite, losses)) and all(bool(values.isfinite().all()) for values in state):
            return
        weights, prior = self.settings.weights, self.settings.prior
        epoch = max(self.step - 1, 0) // self._steps_per_epoch
        raise DivergedError(
            f"the loss is no longer finite at epoch {epoch + 1}, step {self.step}: weights.learning_rate "
            f"{weights.learning_rate}, gradient_clip {weights.gradient_clip}, prior.learning_rate "
            f"{prior.learning_rate}; lower a learning rate or the clip"
        )

    def progress(self) -> str:
        """One line on where the search stands."""
        last = self._last
        share = f"{last['ess_weights']:.2f}/{last['samples']}" if last else "-"
        return (
            f"epoch {min(self.epoch + 1, self.settings.epochs)}/{self.settings.epochs}  entropy of π "
            f"{self.prior.entropy():.2f} nats  effective samples {share}  loss {last.get('train_loss', math.nan):.3f}"
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that the rest of the search depends on."""
        return {
            "step": self.step,
            "children": self.children,
            "child_images": self.child_images,
            "weights": self.supernet.bank.flat.detach(),
            "weight_optimizer": self._weight_optimizer.state_dict(),
            "logits": self.prior.logits.detach(),
            "prior_optimizer": self._prior_optimizer.state_dict(),
            "streams": self._streams.state_dict(),
            "history": self.history,
            "sums": self._sums,
            "seconds": self._seconds,
            "last": self._last,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.step, self.children, self.child_images = state["step"], state["children"], state["child_images"]
        with torch.no_grad():
            self.supernet.bank.flat.copy_(state["weights"])
            self.prior.logits.copy_(state["logits"])
        self._weight_optimizer.load_state_dict(state["weight_optimizer"])
        self._prior_optimizer.load_state_dict(state["prior_optimizer"])
        self._streams.load_state_dict(state["streams"])
        self.history = [tuple(entry) for entry in state["history"]]
        self._sums, self._seconds, self._last = state["sums"], state["seconds"], state["last"]
