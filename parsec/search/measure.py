"""Memory and time of a search step against K, beside those of training one of its children alone (PARSEC's claim)."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from parsec.data.augment import Augment
from parsec.data.dataset import open_part, read_info
from parsec.data.loader import Images
from parsec.data.order import epoch_order
from parsec.network.executors.one import One
from parsec.network.executors.protocol import accumulate
from parsec.network.fixed import FixedNetwork
from parsec.network.supernet import Supernet
from parsec.prior.distribution import Prior
from parsec.records.provenance import begin, provenance
from parsec.records.results import write_json
from parsec.runtime.device import autocast, device_name, lease, memory_format, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.memory import peak_bytes
from parsec.runtime.randomness import generator
from parsec.settings.jobs import MeasureJob
from parsec.space.genotype import Genotype

Step = Callable[[], object]
SEED = 0


class Bench:
    """One minibatch and the children that all measurements share."""

    def __init__(self, job: MeasureJob, data: Path, device: torch.device) -> None:
        self.job, self.network, self.device = job, job.network, device
        info = read_info(data)
        self.classes = len(info.classes)
        augment = Augment(job.augmentation, info, memory_format(job.compute.layout))
        self.image_size = augment.image_size
        part = Images(open_part(data, "train", job.train_images), device)
        first = epoch_order(len(part), job.batch_size, SEED, "training order", 0)[0]
        images, self.labels = part.gather(first)
        self.images = augment.train(images, generator(SEED, "training augmentation", device=device))
        prior = Prior(job.prior)
        draws = generator(SEED, "architectures")
        self.children = prior.children(prior.sample(max(job.measure.samples), draws))

    def search_step(self, samples: int) -> Step:
        """A π-step's and a v-step's work with the first `samples` children, on shared weights of its own."""
        supernet = Supernet(self.network, self.classes, generator(SEED, "shared weights"), self.device)
        executor = One(supernet, partial(autocast, self.device, self.job.compute.precision))
        children = self.children[:samples]

        def step() -> None:
            executor.log_likelihoods(children, self.images, self.labels)
            accumulate(executor, children, self.images, self.labels)

        return step

    def training_step(self, child: Genotype) -> Step:
        """Forward and backward pass of one child as a network of its own."""
        network = FixedNetwork(child, self.network, self.classes, self.image_size, auxiliary=False)
        network.train().to(self.device).to(memory_format=memory_format(self.job.compute.layout))  # type: ignore[call-overload]

        def step() -> None:
            network.zero_grad(set_to_none=True)
            with autocast(self.device, self.job.compute.precision):
                logits = network(self.images)[0]
            F.cross_entropy(logits.double(), self.labels).backward()

        return step

    def seconds(self, step: Step) -> list[float]:
        """Duration of `repeats` steps after one that warms up."""
        durations = []
        for _ in range(self.job.measure.repeats + 1):
            begin = time.perf_counter()
            step()
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            durations.append(time.perf_counter() - begin)
        return durations[1:]

    def row(self, setting: str, samples: int, build: Callable[[], Step]) -> dict[str, Any]:
        """One line of the measurement: peak memory of building and running the step, and its time."""
        peak = peak_bytes(lambda: build()(), self.device)
        durations = self.seconds(build())
        logger.info("measured %s, K = %d: %.3f s, %.1f MB", setting, samples, statistics.median(durations), peak / 1e6)
        return {
            "setting": setting,
            "executor": "one",
            "samples": samples,
            "seconds": statistics.median(durations),
            "seconds_spread": [min(durations), max(durations)],
            "peak_bytes": peak,
        }


def measure(job: MeasureJob, data: Path, output: Path) -> None:
    """Measure the search step of a stage for every K of the settings and write the rows as JSON.

    "One child trained alone" is the child of the K measured that needs most memory, because the search runs them all.
    """
    beginning = begin("parsec.search.measure")
    set_deterministic(job.compute.deterministic)
    with lease(resolve(job.compute.device)) as device:
        bench = Bench(job, data, device)
        alone = [
            bench.row("one child trained alone", 1, partial(bench.training_step, child))
            for child in bench.children.genotypes
        ]
        rows = [max(alone, key=lambda row: row["peak_bytes"])]
        rows += [bench.row("search step", k, partial(bench.search_step, k)) for k in job.measure.samples]
        document = {
            "stage": job.stage,
            "network": job.network.model_dump(),
            "batch_size": job.batch_size,
            "image_size": bench.image_size,
            "device": device_name(device),
            "rows": rows,
            "provenance": provenance(job, beginning, read_info(data)),
        }
    write_json(output, document)
