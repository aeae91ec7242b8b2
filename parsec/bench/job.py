"""The settings of a benchmark, recorded with its numbers, and the sizes of network that it runs at."""

from typing import Literal, NamedTuple

import torch
from pydantic import Field

from parsec.bench.images import CLASSES
from parsec.bench.workload import SEED, Workload
from parsec.prior.children import Children
from parsec.prior.distribution import Prior
from parsec.runtime.randomness import generator
from parsec.settings.base import Positive, Strict
from parsec.settings.compute import Compute
from parsec.settings.search import Prior as Form
from parsec.settings.training import Network

What = Literal["search", "retrain", "memory", "loader", "savings"]
ROOMY_GIB = 1e6
"""Where a benchmark asks for a number of children in flight, no budget stands against it."""


class BenchJob(Strict):
    """One run of a benchmark."""

    what: What = Field(description="what is measured")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto`: CUDA where it is found, else the CPU")
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="of activations, as in the settings")
    rounds: Positive | None = Field(None, description="timed rounds; null: what suits the size")
    paper: bool = Field(False, description="the paper's sizes too")
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
    stacked: tuple[int, ...]
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
PAPER_SMALL = SMALL._replace(children=16, stacked=(1, 2, 4, 8, 16), rounds=5, iteration_rounds=5)
FINETUNE = Size("finetune", Network(cells=20, channels=36), 32, 64, 16, (1, 2, 4), 16, 3, 3)


def sizes(job: BenchJob, device: torch.device) -> list[Size]:
    """The sizes that a benchmark of the search runs at; the largest on a GPU alone, where DARTS' supernet fits."""
    if job.tiny:
        return [TINY]
    if not job.paper:
        return [DIGITS, SMALL]
    return [DIGITS, PAPER_SMALL, *([FINETUNE] if device.type == "cuda" else [])]


def workload(job: BenchJob, size: Size, device: torch.device, children: int) -> Workload:
    """Random images, and the same draws of children from the uniform π for everybody."""
    draws = generator(SEED, "images", device=device)
    images = torch.randn(size.batch_size, 3, size.image_size, size.image_size, generator=draws, device=device)
    labels = torch.randint(CLASSES, (size.batch_size,), generator=draws, device=device)
    prior = Prior(Form())
    table = prior.children(prior.sample(children, generator(SEED, "architectures"))).table
    channels_last = images.contiguous(memory_format=torch.channels_last)
    return Workload(size.network, CLASSES, channels_last, labels, Children(table.to(device)), job.precision)


def compute(
    job: BenchJob,
    executor: Literal["auto", "one", "stacked", "table"],
    in_flight: int | None = None,
    skip: bool = False,
) -> Compute:
    """How an executor runs; `in_flight` is S, null for what the default budget and the machine's cache suggest."""
    return Compute(
        device=job.device,
        precision=job.precision,
        deterministic=False,
        executor=executor,
        samples_in_flight=in_flight,
        memory_gib=ROOMY_GIB if in_flight else Compute().memory_gib,
        skip_negligible=skip,
    )
