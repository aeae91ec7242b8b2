"""The children, the minibatch and the networks that all contenders of a comparison of the search share."""

from functools import partial
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from parsec.bench.references import Darts, PlainChild, darts_iteration
from parsec.bench.rounds import Step
from parsec.network.executors.choose import executor_for
from parsec.network.executors.protocol import Executor, accumulate
from parsec.network.initialise import initialise
from parsec.network.supernet import Supernet
from parsec.prior.children import Children
from parsec.runtime.device import Precision, autocast
from parsec.runtime.randomness import generator
from parsec.settings.compute import Compute
from parsec.settings.training import Network
from parsec.space.genotype import Genotype

SEED = 0
Layout = torch.memory_format


class Workload(NamedTuple):
    """One minibatch on a device and children of one network: what is run, not how."""

    network: Network
    classes: int
    images: Tensor
    """B × 3 × H × W, in the layout of the executors."""
    labels: Tensor
    children: Children
    precision: Precision

    @property
    def device(self) -> torch.device:
        """Where everything is."""
        return self.images.device

    def first(self, count: int) -> Self:
        """The same with the first few children only."""
        return self._replace(children=self.children[:count])

    def autocast(self) -> torch.autocast:
        """The context of forward passes, those of the references too."""
        return autocast(self.device, self.precision)

    def executor(self, compute: Compute) -> Executor:
        """The executor of `compute` on shared weights of its own."""
        supernet = Supernet(self.network, self.classes, generator(SEED, "shared weights"), self.device)
        return executor_for(supernet, compute, len(self.images), self.images.shape[-1])

    def accumulation(self, compute: Compute) -> Step:
        """Every child forward and backward through an executor."""
        executor = self.executor(compute)
        return partial(accumulate, executor, self.children, self.images, self.labels, float(len(self.labels)))

    def search_step(self, compute: Compute) -> Step:
        """The children's part of a π-step and of a v-step through an executor."""
        executor = self.executor(compute)

        def step() -> None:
            executor.log_likelihoods(self.children, self.images, self.labels)
            accumulate(executor, self.children, self.images, self.labels)

        return step

    def plain(self, layout: Layout) -> Step:
        """Every child forward and backward as a plain network of modules, built beforehand."""
        steps = [self.alone(child, layout) for child in self.children.genotypes]

        def step() -> None:
            for each in steps:
                each()

        return step

    def alone(self, child: Genotype, layout: Layout) -> Step:
        """Forward and backward pass of one child as a plain network of modules."""
        network = self._placed(PlainChild(child, self.network, self.classes), layout)
        images = self.images.contiguous(memory_format=layout)

        def step() -> None:
            network.zero_grad()
            with self.autocast():
                logits = network(images)
            F.cross_entropy(logits.float(), self.labels).backward()

        return step

    def darts(self, layout: Layout) -> Step:
        """A first-order iteration of DARTS."""
        model = Darts(self.network, self.classes)
        self._placed(model, layout)
        return darts_iteration(model, self.images.contiguous(memory_format=layout), self.labels, self.autocast)

    def _placed(self, network: nn.Module, layout: Layout) -> nn.Module:
        """A reference on the device, in training mode, with seeded weights."""
        network.train().to(self.device).to(memory_format=layout)  # type: ignore[call-overload]
        initialise(network, generator(SEED, "reference weights", device=self.device))
        return network
