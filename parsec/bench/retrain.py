"""Retraining: images a second of training DARTS_V2, the trainer as it runs against the same in plain eager PyTorch."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch

from parsec.bench.contest import Contest, Target, hold
from parsec.bench.floor import Rates
from parsec.bench.job import CLASSES, BenchJob
from parsec.bench.rounds import Step
from parsec.bench.workload import SEED
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, Part
from parsec.data.loader import Images
from parsec.data.part import Shards
from parsec.retrain.task import RetrainTask
from parsec.retrain.trainer import Retrainer
from parsec.runtime.device import memory_format
from parsec.settings.retrain import RetrainStage
from parsec.settings.training import Network
from parsec.settings.tree import Compute
from parsec.space.published import DARTS_V2

EPOCHS = 600
GPU_RATE = EPOCHS * 50_000 / 3600
"""Images a second at which 600 epochs of CIFAR-10 end within an hour, on an H200 at the paper's size."""
EAGER, EAGER_LAST, COMPILED = "eager, contiguous", "eager, channels last", "compiled, channels last"


class Training(NamedTuple):
    """A network and how much of its training is timed."""

    network: Network
    image_size: int
    batch_size: int
    batches: int
    """Of an epoch."""
    rounds: int


TINY = Training(Network(cells=3, channels=2), 8, 4, 4, 1)
SMALL = Training(Network(cells=8, channels=16), 32, 96, 16, 3)
PAPER = Training(Network(cells=20, channels=36), 32, 96, 64, 5)


def bench_retrain(job: BenchJob, device: torch.device, rates: Rates) -> Iterator[dict[str, Any]]:
    """One comparison; half-way through the epochs, so that drop-path is at work."""
    training = TINY if job.tiny else PAPER if job.paper else SMALL
    with tempfile.TemporaryDirectory() as folder:
        yield hold(_contest(job, training, device, Path(folder)), device, rates)


def _contest(job: BenchJob, training: Training, device: torch.device, folder: Path) -> Contest:
    on_cpu, part, network = device.type == "cpu", _random_images(training, folder), training.network
    eager = {
        EAGER: _compute(job, "contiguous", "off"),
        EAGER_LAST: _compute(job, "channels_last", "off"),
    }
    # On a CPU compiling takes minutes, more than a small benchmark lasts.
    compiled = {COMPILED: _compute(job, "channels_last", "on")} if job.paper or not on_cpu else {}
    # A GPU is given many steps at once, because no step waits for the one before.
    advances = 1 if on_cpu else 16
    side = f"{training.image_size} × {training.image_size}"
    return Contest(
        title=f"DARTS_V2, {network.cells} cells × {network.channels} channels, {side} pixels, "
        f"batch {training.batch_size}: {advances} steps of training",
        unit="images",
        work=advances * training.batch_size,
        reference=EAGER,
        steps={name: _steps(training, compute, part, device, advances) for name, compute in (eager | compiled).items()},
        rounds=job.rounds or training.rounds,
        targets=() if on_cpu or training is not PAPER else (Target(tuple(compiled), "rate", GPU_RATE),),
        counted_as={COMPILED: EAGER_LAST},
    )


def _compute(job: BenchJob, layout: Literal["contiguous", "channels_last"], compiled: Literal["on", "off"]) -> Compute:
    return Compute(device=job.device, precision=job.precision, layout=layout, deterministic=False, compile=compiled)


def _steps(training: Training, compute: Compute, part: Part, device: torch.device, advances: int) -> Step:
    """So many steps of the trainer that the verb `retrain` runs, reading and augmenting included."""
    settings = RetrainStage(
        origins=(), runs=(SEED,), network=training.network, epochs=EPOCHS, batch_size=training.batch_size
    )
    task = RetrainTask(
        genotype=DARTS_V2,
        settings=settings,
        compute=compute,
        images=Images(part, device),
        augment=Augment(settings.augmentation, _info(training), memory_format(compute.layout)),
        classes=CLASSES,
        seed=SEED,
        device=device,
    )
    trainer = Retrainer(task)
    trainer.step = trainer.total_steps // 2

    def step() -> None:
        for _ in range(advances):
            trainer.advance()

    return step


def _random_images(training: Training, folder: Path) -> Part:
    """One epoch of random images in a shard of their own."""
    draws, count = np.random.default_rng(SEED), training.batches * training.batch_size
    shape = (count, training.image_size, training.image_size, 3)
    np.save(folder / "images.npy", draws.integers(256, size=shape, dtype=np.uint8))
    return Part(Shards([folder / "images.npy"]), np.arange(count), draws.integers(CLASSES, size=count))


def _info(training: Training) -> DatasetInfo:
    """The facts of uniform random values: mean a half, standard deviation 1/√12."""
    names, side = tuple(map(str, range(CLASSES))), training.image_size
    return DatasetInfo("random", names, side, (0.5,) * 3, (12**-0.5,) * 3, {}, content_hash="", stand_in=None)
