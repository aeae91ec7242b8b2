"""The children, images and networks that all contenders of a benchmark of the search share."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.bench.job import BenchJob, Size
from parsec.bench.references import Darts, PlainChild, darts_iteration
from parsec.bench.rounds import Step
from parsec.estimator import importance_weights, prior_coefficients
from parsec.network.executors.choose import executor_for
from parsec.network.executors.protocol import Executor, accumulate
from parsec.network.initialise import initialise
from parsec.network.supernet import Supernet
from parsec.prior.children import Children
from parsec.prior.distribution import Prior
from parsec.runtime.device import autocast
from parsec.runtime.randomness import generator
from parsec.settings.search import Estimator, PriorOptimizer, SearchOptimizer
from parsec.settings.search import Prior as Form
from parsec.settings.tree import Compute

SEED = 0
CLASSES = 10


class Workload:
    """One minibatch of random images and the same draws of children for everybody."""

    def __init__(self, job: BenchJob, size: Size, device: torch.device) -> None:
        self.job, self.size, self.device = job, size, device
        shape = (size.batch_size, 3, size.image_size, size.image_size)
        draws = generator(SEED, "images", device=device)
        self.images = torch.randn(shape, generator=draws, device=device)
        self.labels = torch.randint(CLASSES, (size.batch_size,), generator=draws, device=device)
        prior = Prior(Form())
        drawn = prior.children(prior.sample(size.children, generator(SEED, "architectures")))
        self.children = Children(drawn.table.to(device))

    def autocast(self) -> torch.autocast:
        """The context of forward passes, references included."""
        return autocast(self.device, self.job.precision)

    def executor(self, name: str, in_flight: int | None = None, skip: bool = False) -> Executor:
        """An executor on shared weights of its own."""
        supernet = Supernet(self.size.network, CLASSES, generator(SEED, "shared weights"), self.device)
        compute = {"executor": name, "samples_in_flight": in_flight, "skip_negligible": skip}
        return executor_for(supernet, Compute.model_validate({**compute, "precision": self.job.precision}))

    def batch(self, layout: torch.memory_format) -> Tensor:
        """The images in a memory layout."""
        return self.images.contiguous(memory_format=layout)

    def forward_backward(self, executor: Executor) -> Step:
        """Every child forward and backward through an executor."""
        images = self.batch(torch.channels_last)
        return partial(accumulate, executor, self.children, images, self.labels, float(self.size.batch_size))

    def plain(self, layout: torch.memory_format) -> Step:
        """Every child forward and backward as a plain network of modules, built beforehand."""
        images, networks = self.batch(layout), self._networks(layout)

        def step() -> None:
            for network in networks:
                network.zero_grad()
                with self.autocast():
                    logits = network(images)
                F.cross_entropy(logits.float(), self.labels).backward()

        return step

    def _networks(self, layout: torch.memory_format) -> Sequence[nn.Module]:
        return [self.placed(PlainChild(c, self.size.network, CLASSES), layout) for c in self.children.genotypes]

    def placed(self, network: nn.Module, layout: torch.memory_format) -> nn.Module:
        """A reference on the device, in training mode, with seeded weights."""
        network.train().to(self.device).to(memory_format=layout)  # type: ignore[call-overload]
        initialise(network, generator(SEED, "reference weights", device=self.device))
        return network

    def darts(self, layout: torch.memory_format) -> Step:
        """A first-order iteration of DARTS."""
        model = Darts(self.size.network, CLASSES)
        self.placed(model, layout)
        return darts_iteration(model, self.batch(layout), self.labels, self.autocast)

    def parsec(self, executor: Executor) -> Step:
        """A full iteration of PARSEC: π-step and v-step with fresh children each, as the search trainer takes them."""
        return ParsecIteration(self, executor)


class ParsecIteration:
    """What the search trainer does in one step, without reading images, so that only the method is timed."""

    def __init__(self, workload: Workload, executor: Executor) -> None:
        self.executor, self.labels = executor, workload.labels
        self.images = workload.batch(torch.channels_last)
        self.samples, self.estimator = workload.size.samples, Estimator(samples=workload.size.samples)
        self.prior, weights, prior = Prior(Form()), SearchOptimizer(), PriorOptimizer()
        self.draws = generator(SEED, "architectures")
        self.clip = weights.gradient_clip
        self.adam = torch.optim.Adam([self.prior.logits], lr=prior.learning_rate, betas=prior.betas)
        self.sgd = torch.optim.SGD(
            [executor.supernet.bank.flat], weights.learning_rate, weights.momentum, weight_decay=weights.weight_decay
        )

    def __call__(self) -> None:
        """One iteration."""
        self._prior_step()
        accumulate(self.executor, self._children(self._draw()), self.images, self.labels)
        torch.nn.utils.clip_grad_norm_([self.executor.supernet.bank.flat], self.clip)
        self.sgd.step()

    def _draw(self) -> Tensor:
        return self.prior.sample(self.samples, self.draws)

    def _children(self, chosen: Tensor) -> Children:
        return Children(self.prior.children(chosen).table.to(self.images.device))

    def _prior_step(self) -> None:
        chosen = self._draw()
        likelihoods = self.executor.log_likelihoods(self._children(chosen), self.images, self.labels)
        weights = importance_weights(likelihoods.cpu())
        self.adam.zero_grad()
        (-(prior_coefficients(self.estimator, weights) * self.prior.log_prob(chosen)).sum()).backward()
        self.adam.step()


Build = Callable[[], Step]
