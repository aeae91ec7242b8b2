"""PARSEC: the sampling trainer that learns π and the shared weights v together (arXiv 1902.05116, section 2).

Every iteration takes a π-step on a validation batch and a v-step on a training batch, each with K fresh children
drawn from the current p(α|π).
"""

from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from parsec.network.spaces import Child, child_cost, shared_weights
from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.device import to_device
from parsec.runtime.optim import learning_rate
from parsec.runtime.rng import Streams, generator
from parsec.search.base import Batch, Row, SearchTask, Stepwise
from parsec.search.estimator import (
    effective_sample_size,
    importance_weights,
    prior_coefficients,
    sample_count,
    temperature,
)
from parsec.search.executors.base import accumulate
from parsec.search.executors.build import executor_for
from parsec.search.executors.distributed import over_ranks
from parsec.space.spaces import Architecture


class Updates:
    """π, v and their optimisers; what a step measures comes back as numbers and 0-d float64 tensors.

    An update gives the device work and does not wait for it. π lies on the device if the executor reads architectures
    there. An executor that the host drives needs them on the host, so π lies on the CPU, and the copy of K
    log-likelihoods to it is the only wait of an iteration. Two settings cost waits of their own: an adaptive K (the
    entropy of π decides what is launched) and a cost weight (multiply-adds are counted on the host).
    """

    def __init__(self, task: SearchTask, streams: Streams) -> None:
        self._task, self._settings, self._streams = task, task.job.settings, streams
        start = generator(task.seed, "shared weights")
        space, network = task.prior.space, self._settings.network
        self.supernet = shared_weights(space, network, task.classes, start, task.device)
        executor = executor_for(self.supernet, task.job.compute, self._settings.batch_size, task.augment.image_size)
        self.executor = over_ranks(executor, task.ranks)
        self.prior = task.prior.to(task.device if self.executor.device_driven else "cpu")
        weights, prior = self._settings.weights, self._settings.prior
        self.weight_optimizer = torch.optim.SGD(
            [self.supernet.bank.flat],
            lr=weights.learning_rate,
            momentum=weights.momentum,
            weight_decay=weights.weight_decay,
            fused=True,
        )
        self.prior_optimizer = torch.optim.Adam(
            [self.prior.logits], lr=prior.learning_rate, betas=prior.betas, fused=True
        )
        self.children = 0
        """Children evaluated so far."""

    def logits(self, child: Child, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        return self.executor.logits(child, images)

    def draw(self) -> tuple[Tensor, ArchitectureBatch]:
        """K architectures from p(α|π), as chosen indices and as children."""
        estimator = self._settings.estimator
        count = estimator.samples if estimator.adaptive is None else sample_count(estimator, self.prior.entropy())
        chosen = self.prior.sample(count, self._streams.cpu("architectures"))
        self.children += count
        return chosen, self.prior.children(chosen)

    def of_prior(self, batch: Batch) -> dict[str, Any]:
        """Ascend Σ_k (ω_k − b) ∇_π log p(α_k|π) on a validation batch."""
        images, labels = batch
        chosen, children = self.draw()
        log_likelihood = self.executor.log_likelihoods(children, images, labels).to(chosen.device)
        weights = importance_weights(log_likelihood, temperature(self._settings.estimator, len(labels)))
        coefficients = prior_coefficients(self._settings.estimator, weights, self._multiply_adds(children))
        self.prior_optimizer.zero_grad()
        (-(coefficients * self.prior.log_prob(chosen)).sum()).backward()
        self.prior_optimizer.step()
        return {
            "ess_prior": effective_sample_size(weights),
            "validation_loss": -(weights * log_likelihood).sum() / len(labels),
        }

    def of_weights(self, batch: Batch, learning_rate: float) -> dict[str, Any]:
        """Ascend Σ_k ω_k ∇_v log p(y|X,v,α_k) on a training batch."""
        images, labels = batch
        _, children = self.draw()
        tempered = temperature(self._settings.estimator, len(labels))
        seen = accumulate(self.executor, children, images, labels, tempered)
        torch.nn.utils.clip_grad_norm_([self.supernet.bank.flat], self._settings.weights.gradient_clip)
        self.weight_optimizer.param_groups[0]["lr"] = learning_rate
        self.weight_optimizer.step()
        return {
            "samples": len(children),
            "entropy": self.prior.exact_entropy(),
            "ess_weights": seen.effective_sample_size,
            "train_loss": seen.loss,
        }

    def _multiply_adds(self, children: ArchitectureBatch) -> Tensor | None:
        """Multiply-adds of the children in the network of this stage (K, float64); None if cost plays no part."""
        if self._settings.estimator.cost_weight == 0.0:
            return None
        network, size = self._settings.network, self._task.augment.image_size
        costs = [child_cost(child, network, self._task.classes, size) for child in children.genotypes]
        counted = torch.tensor([cost.multiply_adds for cost in costs], dtype=torch.float64)
        return to_device(counted, self.prior.logits.device)

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


class Parsec(Stepwise[Updates]):
    """The sampling trainer; between two readings of metric rows a step waits no more than `Updates` says."""

    selection = (
        "mode of π after the last epoch, chosen without looking at any accuracy (with `estimator.best_of` the best of "
        "so many draws of π by accuracy on the validation half); π saw the validation half, v the training half, and "
        "no test image was read"
    )
    passes = (1, 2)

    def _learner(self) -> Updates:
        return Updates(self.task, self._streams)

    def _learn(self, epoch: int) -> Row:
        """One π-step and one v-step."""
        rate = learning_rate(self.settings.weights, epoch, self.settings.epochs)
        measured = {}
        if epoch >= self.settings.warmup_epochs:
            measured = self.updates.of_prior(self._batches.validation(self.step))
        measured |= self.updates.of_weights(self._batches.training(self.step), rate)
        return {"learning_rate": rate, **measured}

    @property
    def _judges(self) -> bool:
        """Whether draws of π are compared by now."""
        return self.settings.estimator.best_of is not None and self.step == self.total_steps

    @property
    def children(self) -> int:
        """Children evaluated so far, those that are compared at the end included."""
        return self.updates.children + (self.settings.estimator.best_of or 0) * self._judges

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far, those of the comparison included."""
        judged = self.children - self.updates.children
        return self.updates.children * self.settings.batch_size + judged * len(self.task.validation)

    def genotype(self) -> Architecture:
        """The mode of π; at the end the best of several draws, of equals the first, if the settings say so."""
        return self._best if self._judges else super().genotype()

    @cached_property
    def _best(self) -> Architecture:
        count, stream = self.settings.estimator.best_of or 1, generator(self.task.seed, "draws of the final π")
        drawn: list[Architecture] = self.prior.children(self.prior.sample(count, stream)).genotypes
        return max(drawn, key=self.accuracy)

    def _figures(self, last: Row) -> str:
        share = f"{last['ess_weights']:.2f}/{last['samples']}" if last else "-"
        return f"effective samples {share}  "

    def _rates(self) -> list[str]:
        return [*super()._rates(), f"prior.learning_rate {self.settings.prior.learning_rate}"]
