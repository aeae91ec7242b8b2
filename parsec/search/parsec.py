"""PARSEC: learn π and the shared weights v together by sampling architectures (arXiv 1902.05116, section 2).

Every iteration takes a π-step on a validation batch and a v-step on a training batch, each with K architectures freshly
sampled from p(α|π). With the importance weights ω_k = p(y|X,v,α_k) / Σ_j p(y|X,v,α_j) they ascend

    π:  Σ_k ω_k ∇_π log p(α_k|π)              v:  Σ_k ω_k ∇_v log p(y|X,v,α_k)
"""

from typing import Any

import torch
from torch import Tensor

from parsec.network.spaces import child_cost, shared_weights
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.runtime.device import to_device
from parsec.runtime.optim import adam, sgd
from parsec.runtime.rng import generator
from parsec.search.base import Metrics, SearchTask, SearchTrainer
from parsec.search.estimator import (
    effective_sample_size,
    importance_weights,
    prior_coefficients,
    temperature,
)
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.build import build_executor


class Parsec(SearchTrainer):
    """The sampling trainer: owns π, v and their optimizers.

    Steps are asynchronous: they queue work on the device and do not wait for it. π is on the GPU if the executor reads
    architectures there, otherwise on the CPU; then copying the K log-likelihoods is the only synchronisation per step.
    A cost weight adds one: multiply-adds are counted on the host.
    """

    selection = (
        "mode of π after the last epoch, chosen without looking at any accuracy; π saw the validation split, v the "
        "training split, and no test image was read"
    )
    runs_on_ranks = True
    prior_optimizer: torch.optim.Adam

    def __init__(self, task: SearchTask) -> None:
        super().__init__(task)
        # Shared weights v, and the executor that runs sampled architectures on them.
        start = generator(task.seed, "shared weights")
        self.supernet = shared_weights(task.prior.space, self.settings.network, task.classes, start, task.device)
        sizes = (self.settings.batch_size, task.augment.image_size)
        self.executor = build_executor(self.supernet, task.job.compute, *sizes, task.ranks)
        self.prior = task.prior.to(task.device if self.executor.device_driven else "cpu")
        # What the warm-up samples from: π, or a distribution that favours operations with weights.
        share = self.settings.warmup.weightless_share
        self.warmup_prior = self.prior if share is None else self.prior.with_weightless_share(share)
        # DARTS' optimizers: SGD for v, Adam for π.
        self.weight_optimizer = sgd([self.supernet.weights.flat], self.settings.weights)
        self.prior_optimizer = adam([self.prior.logits], self.settings.prior)

    def train_step(self, epoch: int) -> Metrics:
        """One iteration: a π-step once the warm-up is over, then a v-step."""
        rate = self._rate(epoch)
        metrics: Metrics = {"learning_rate": rate}
        if epoch >= self.settings.warmup.epochs:
            metrics |= self.prior_step(*self.batches.validation(self.step))
        return metrics | self.weight_step(*self.batches.training(self.step), rate)

    def prior_step(self, images: Tensor, labels: Tensor) -> Metrics:
        """Ascend Σ_k (ω_k − b) ∇_π log p(α_k|π) on a validation batch [B, 3, H, W] with labels [B]."""
        # Sample α_1 … α_K ~ p(α|π), and run each on the batch without gradients: log p(y|X,v,α_k).
        indices, architectures = self.sample_architectures(self.prior, self.settings.estimator.samples)
        log_likelihood = self.executor.log_likelihoods(architectures, images, labels).to(indices.device)
        # ω_k: likelihoods normalised over the K samples (with `likelihood: mean`, tempered by B).
        weights = importance_weights(log_likelihood, temperature(self.settings.estimator, len(labels)))
        # Factors of ∇_π log p(α_k|π): ω_k, less a baseline and a cost penalty where the settings ask for them.
        coefficients = prior_coefficients(self.settings.estimator, weights, self._multiply_adds(architectures))
        # The gradient of this surrogate is −Σ_k (ω_k − b) ∇_π log p(α_k|π); ω does not depend on π.
        surrogate = -(coefficients * self.prior.log_prob(indices)).sum()
        self.prior_optimizer.zero_grad()
        surrogate.backward()
        self.prior_optimizer.step()
        validation_loss = -(weights * log_likelihood).sum() / len(labels)
        return {"ess_prior": effective_sample_size(weights), "validation_loss": validation_loss}

    def weight_step(self, images: Tensor, labels: Tensor, rate: float) -> Metrics:
        """Ascend Σ_k ω_k ∇_v log p(y|X,v,α_k) on a training batch [B, 3, H, W] with labels [B]."""
        # Fresh samples: the v-step does not reuse those of the π-step. The warm-up has its own distribution and K.
        warmup, prior, count = self.settings.warmup, self.prior, self.settings.estimator.samples
        if self.epoch < warmup.epochs:
            prior, count = self.warmup_prior, warmup.samples or count
        _, architectures = self.sample_architectures(prior, count)
        # One forward and backward pass per sample; ω_k is known only after the last, so gradients are accumulated with
        # running weights and normalised at the end (online softmax). Only one architecture need be in memory.
        tempered = temperature(self.settings.estimator, len(labels))
        stats = weighted_backward(self.executor, architectures, images, labels, tempered)
        # Clip as DARTS does, then the SGD step at this epoch's learning rate.
        self.step_weights(rate)
        return {
            "samples": len(architectures),
            "entropy": self.prior.entropy_tensor(),
            "ess_weights": stats.effective_sample_size,
            "train_loss": stats.loss,
        }

    def sample_architectures(self, prior: Prior, count: int) -> tuple[Tensor, ArchitectureBatch]:
        """K architectures from p(α|π): indices of their choices (K × factors, int64), and the architectures."""
        stratified = self.settings.estimator.draws == "stratified"
        indices = prior.sample(count, self.streams.cpu("architectures"), stratified)
        self.children += count
        return indices, prior.children(indices)

    def _multiply_adds(self, architectures: ArchitectureBatch) -> Tensor | None:
        """Multiply-adds per architecture in the network of this stage (K, float64); None without a cost weight."""
        if self.settings.estimator.cost_weight == 0.0:
            return None
        network, size = self.settings.network, self.task.augment.image_size
        costs = [child_cost(child, network, self.task.classes, size) for child in architectures.genotypes]
        counted = torch.tensor([cost.multiply_adds for cost in costs], dtype=torch.float64)
        return to_device(counted, self.prior.logits.device)

    @classmethod
    def cost_per_step(cls, task: SearchTask) -> tuple[float, float]:
        """Each of the sampled architectures runs the minibatches: one in the warm-up, then one for π and one for v."""
        warmup, samples = task.job.settings.warmup, task.job.settings.estimator.samples
        return warmup.samples or samples, 2 * samples

    def progress_suffix(self, latest: dict[str, Any]) -> str:
        """Effective sample size out of K."""
        share = f"{latest['ess_weights']:.2f}/{latest['samples']}" if latest else "-"
        return f"effective samples {share}  "

    def rate_summary(self) -> list[str]:
        """Learning rates of v and π."""
        return [*super().rate_summary(), f"prior.learning_rate {self.settings.prior.learning_rate}"]
