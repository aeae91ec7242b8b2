"""Workload of a benchmark: networks, sampled architectures, images."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from parsec.bench.harness import Step
from parsec.bench.references import Darts, PlainChild, darts_iteration
from parsec.config.base import Compute, Config, ExecutorName, Positive
from parsec.config.training import Network
from parsec.data.dataset import DatasetInfo, Shards, Split
from parsec.data.loader import Images
from parsec.errors import UserError
from parsec.network.layers import initialise
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.runtime.device import Precision, autocast
from parsec.runtime.rng import generator
from parsec.search.executors.base import Executor, weighted_backward
from parsec.search.executors.build import build_executor
from parsec.space.darts import Genotype

SEED = 0


class Workload(NamedTuple):
    """One minibatch on a device and children of one network: what is run, not how."""

    network: Network
    classes: int
    images: Tensor
    """B × 3 × H × W, in the layout of the executors."""
    labels: Tensor
    children: ArchitectureBatch
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
        return build_executor(supernet, compute, len(self.images), self.images.shape[-1])

    def accumulation(self, compute: Compute) -> Step:
        """Every child forward and backward through an executor."""
        executor = self.executor(compute)
        return partial(weighted_backward, executor, self.children, self.images, self.labels, float(len(self.labels)))

    def search_step(self, compute: Compute) -> Step:
        """The children's part of a π-step and of a v-step through an executor."""
        executor = self.executor(compute)

        def step() -> None:
            executor.log_likelihoods(self.children, self.images, self.labels)
            weighted_backward(executor, self.children, self.images, self.labels)

        return step

    def plain(self, layout: torch.memory_format) -> Step:
        """Every child forward and backward as a plain network of modules, built beforehand."""
        steps = [self.plain_child(child, layout) for child in self.children.genotypes]

        def step() -> None:
            for each in steps:
                each()

        return step

    def plain_child(self, child: Genotype, layout: torch.memory_format) -> Step:
        """Forward and backward pass of one child as a plain network of modules."""
        network = self._placed(PlainChild(child, self.network, self.classes), layout)
        images = self.images.contiguous(memory_format=layout)

        def step() -> None:
            network.zero_grad()
            with self.autocast():
                logits = network(images)
            F.cross_entropy(logits.float(), self.labels).backward()

        return step

    def darts(self, layout: torch.memory_format) -> Step:
        """A first-order iteration of DARTS."""
        model = Darts(self.network, self.classes)
        self._placed(model, layout)
        return darts_iteration(model, self.images.contiguous(memory_format=layout), self.labels, self.autocast)

    def _placed(self, network: nn.Module, layout: torch.memory_format) -> nn.Module:
        """A reference on the device, in training mode, with seeded weights."""
        network.train().to(self.device).to(memory_format=layout)  # type: ignore[call-overload]
        initialise(network, generator(SEED, "reference weights", device=self.device))
        return network


CLASSES = 10


def random_images(count: int, side: int, device: torch.device) -> Images:
    """So many images of `side` × `side` pixels, in the device's memory."""
    rng = np.random.default_rng(SEED)
    pixels = rng.integers(256, size=(count, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, pixels)
        return Images(Split(Shards([path]), np.arange(count), rng.integers(CLASSES, size=count)), device)


def random_info(side: int) -> DatasetInfo:
    """Their facts: uniform values have the mean a half and the standard deviation 1/√12."""
    return DatasetInfo(
        name="random",
        classes=tuple(map(str, range(CLASSES))),
        image_size=side,
        mean=(0.5,) * 3,
        std=(12**-0.5,) * 3,
        counts={},
        content_hash="0" * 64,
        stand_in=None,
    )


What = Literal["search", "retrain", "memory", "loader", "savings", "gpu"]
ROOMY_GIB = 1e6
"""Where a benchmark asks for a number of children in flight, no budget stands against it."""


class BenchJob(Config):
    """One run of a benchmark."""

    what: What = Field(description="what is measured")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: CUDA where it is found, else the CPU")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="of activations, as in the settings")
    rounds: Positive | None = Field(None, description="timed rounds; null: what suits the size")
    paper: bool = Field(False, description="the paper's sizes too")
    size: Literal["digits", "small", "finetune"] | None = Field(None, description="one size only; null: all")
    contender: str | None = Field(None, description="the reference and contenders with this text in their names only")
    slice: Annotated[int, Field(ge=0)] | None = Field(None, description="gpu: which slice")
    tiny: bool = Field(False, description="the smallest network only: shows that it works, measures nothing of worth")


class Size(NamedTuple):
    """A search network and how much of it a benchmark runs."""

    name: str
    network: Network
    image_size: int
    """Pixels."""
    batch_size: int
    children: int
    """Children of one timed step in the comparison of executors."""
    grouped: tuple[int, ...]
    """Values of S; each divides `children`."""
    samples: int
    """K of a full iteration."""
    rounds: int
    """Of the comparison of executors."""
    iteration_rounds: int

    def __str__(self) -> str:
        network, side = self.network, self.image_size
        return f"{network.cells} cells × {network.channels} channels, {side} × {side} pixels, batch {self.batch_size}"


TINY = Size("tiny", Network(cells=3, channels=2), 8, 4, 2, (1, 2), 2, 1, 1)
DIGITS = Size("digits", Network(cells=3, channels=4), 8, 64, 16, (1, 2, 4, 8, 16), 16, 9, 5)
SMALL = Size("small", Network(cells=8, channels=16), 32, 64, 4, (1, 2, 4), 16, 3, 2)
PAPER_SMALL = SMALL._replace(children=16, grouped=(1, 2, 4, 8, 16), rounds=5, iteration_rounds=5)
FINETUNE = Size("finetune", Network(cells=20, channels=36), 32, 64, 16, (1, 2, 4), 16, 3, 3)


def sizes(job: BenchJob, device: torch.device) -> list[Size]:
    """The sizes that a benchmark of the search runs at; the largest only on a GPU, where DARTS' supernet fits.

    Raises:
        UserError: the one asked for is not among them.
    """
    if job.tiny:
        return [TINY]
    largest = [FINETUNE] if device.type == "cuda" else []
    suited = [DIGITS, PAPER_SMALL, *largest] if job.paper else [DIGITS, SMALL]
    chosen = [size for size in suited if job.size in (None, size.name)]
    if not chosen:
        raise UserError(f"--size: {job.size} is measured with --paper on a GPU only; leave it out")
    return chosen


def workload(job: BenchJob, size: Size, device: torch.device, children: int) -> Workload:
    """Random images, and the same children, sampled from the uniform π, for every contender."""
    rng = generator(SEED, "images", device=device)
    images = torch.randn(size.batch_size, 3, size.image_size, size.image_size, generator=rng, device=device)
    labels = torch.randint(CLASSES, (size.batch_size,), generator=rng, device=device)
    channels_last = images.contiguous(memory_format=torch.channels_last)
    return sampled_workload(size.network, CLASSES, channels_last, labels, children, job.precision)


def sampled_workload(
    network: Network, classes: int, images: Tensor, labels: Tensor, children: int, precision: Precision
) -> Workload:
    """The workload of a minibatch and `children` architectures sampled from the uniform π."""
    prior = Prior()
    table = prior.children(prior.sample(children, generator(SEED, "architectures"))).table
    return Workload(network, classes, images, labels, ArchitectureBatch(table.to(images.device)), precision)


def compute(job: BenchJob, executor: ExecutorName, in_flight: int | None = None, skip: bool = False) -> Compute:
    """How an executor runs; `in_flight` is S, null for what memory holds and the machine's cache suggests."""
    return Compute(
        device=job.device,
        precision=job.precision,
        deterministic=False,
        executor=executor,
        samples_in_flight=in_flight,
        memory_gib=ROOMY_GIB if in_flight else None,
        skip_negligible=skip,
    )
