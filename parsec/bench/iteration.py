"""A full iteration of PARSEC without reading images, so that the method alone is timed."""

import torch
from torch import Tensor

from parsec.bench.workload import SEED, Workload
from parsec.estimator import importance_weights, prior_coefficients
from parsec.network.executors.protocol import accumulate
from parsec.prior.children import Children
from parsec.prior.distribution import Prior
from parsec.runtime.randomness import generator
from parsec.settings.search import Estimator, PriorOptimizer, SearchOptimizer
from parsec.settings.search import Prior as Form
from parsec.settings.tree import Compute


class Iteration:
    """A π-step and a v-step with fresh children each, as the search trainer takes them; both on the same images."""

    def __init__(self, workload: Workload, compute: Compute, samples: int) -> None:
        self.executor = workload.executor(compute)
        self.images, self.labels = workload.images, workload.labels
        self.prior, self.estimator = Prior(Form()), Estimator(samples=samples)
        self.draws = generator(SEED, "architectures")
        weights, prior = SearchOptimizer(), PriorOptimizer()
        self.clip = weights.gradient_clip
        self.adam = torch.optim.Adam([self.prior.logits], lr=prior.learning_rate, betas=prior.betas)
        self.sgd = torch.optim.SGD(
            [self.executor.supernet.bank.flat],
            weights.learning_rate,
            weights.momentum,
            weight_decay=weights.weight_decay,
        )

    def __call__(self) -> None:
        """One iteration."""
        self._prior_step()
        self._weight_step()

    def _draw(self) -> tuple[Tensor, Children]:
        chosen = self.prior.sample(self.estimator.samples, self.draws)
        return chosen, Children(self.prior.children(chosen).table.to(self.images.device))

    def _prior_step(self) -> None:
        chosen, children = self._draw()
        likelihoods = self.executor.log_likelihoods(children, self.images, self.labels)
        coefficients = prior_coefficients(self.estimator, importance_weights(likelihoods.cpu()))
        self.adam.zero_grad()
        (-(coefficients * self.prior.log_prob(chosen)).sum()).backward()
        self.adam.step()

    def _weight_step(self) -> None:
        _, children = self._draw()
        accumulate(self.executor, children, self.images, self.labels)
        torch.nn.utils.clip_grad_norm_([self.executor.supernet.bank.flat], self.clip)
        self.sgd.step()
