"""Retraining: images a second of training DARTS_V2, the trainer as it runs against the same in plain eager PyTorch."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch

from parsec.bench.contest import Contest, Target, hold
from parsec.bench.floor import Rates
from parsec.bench.images import CLASSES, random_images, random_info
from parsec.bench.job import BenchJob
from parsec.bench.rounds import Step
from parsec.bench.workload import SEED
from parsec.data.augment import Augment
from parsec.data.loader import Images
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
    yield hold(_contest(job, training, device), device, rates)


def _contest(job: BenchJob, training: Training, device: torch.device) -> Contest:
    on_cpu, network = device.type == "cpu", training.network
    images = random_images(training.batches * training.batch_size, training.image_size, device)
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
        f"batch {training.batch_size}: {advances} step{'s' * (advances > 1)} of training",
        unit="images",
        work=advances * training.batch_size,
        reference=EAGER,
        steps={
            name: _steps(training, compute, images, device, advances) for name, compute in (eager | compiled).items()
        },
        rounds=job.rounds or training.rounds,
        targets=() if on_cpu or training is not PAPER else (Target(tuple(compiled), "rate", GPU_RATE),),
        counted_as={COMPILED: EAGER_LAST},
    )


def _compute(job: BenchJob, layout: Literal["contiguous", "channels_last"], compiled: Literal["on", "off"]) -> Compute:
    return Compute(device=job.device, precision=job.precision, layout=layout, deterministic=False, compile=compiled)


def _steps(training: Training, compute: Compute, images: Images, device: torch.device, advances: int) -> Step:
    """So many steps of the trainer that the verb `retrain` runs, reading and augmenting included."""
    settings = RetrainStage(
        origins=(), runs=(SEED,), network=training.network, epochs=EPOCHS, batch_size=training.batch_size
    )
    task = RetrainTask(
        genotype=DARTS_V2,
        settings=settings,
        compute=compute,
        images=images,
        augment=Augment(settings.augmentation, random_info(training.image_size), memory_format(compute.layout)),
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
