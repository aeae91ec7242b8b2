"""Retraining of DARTS_V2: images per second of the trainer and of a plain one with one module per edge."""

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import torch

from parsec.bench.harness import Comparison, Rates, Step, Target, compare
from parsec.bench.references import PlainNetwork
from parsec.bench.workload import CLASSES, SEED, BenchJob, random_images, random_info
from parsec.config.base import Compute
from parsec.config.retrain import RetrainStage
from parsec.config.training import Stack
from parsec.data.augment import Augment
from parsec.data.loader import Images
from parsec.retrain.trainer import Retrainer, RetrainTask, training_loss
from parsec.runtime.device import autocast, memory_format
from parsec.runtime.optim import drop_path
from parsec.runtime.rng import Streams
from parsec.space.published import DARTS_V2

EPOCHS = 600
GPU_RATE = EPOCHS * 50_000 / 3600
"""Images a second at which 600 epochs of CIFAR-10 end within an hour, on an H100 or H200 at the paper's size."""
PLAIN, EAGER, COMPILED = "plain modules, contiguous", "eager, channels last", "compiled, channels last"


class Training(NamedTuple):
    """A network and how much of its training is timed."""

    network: Stack
    image_size: int
    batch_size: int
    batches: int
    """Of an epoch."""
    rounds: int


TINY = Training(Stack(cells=3, channels=2), 8, 4, 4, 1)
SMALL = Training(Stack(cells=8, channels=16), 32, 96, 16, 3)
PAPER = Training(Stack(cells=20, channels=36), 32, 96, 64, 5)


def bench_retrain(job: BenchJob, device: torch.device, rates: Rates) -> Iterator[dict[str, Any]]:
    """One comparison; half-way through the epochs, so that drop-path is at work."""
    training = TINY if job.tiny else PAPER if job.paper else SMALL
    yield compare(_comparison(job, training, device).only(job.contender), device, rates)


def _comparison(job: BenchJob, training: Training, device: torch.device) -> Comparison:
    on_cpu, network = device.type == "cpu", training.network
    images = random_images(training.batches * training.batch_size, training.image_size, device)
    # A GPU is given many steps at once, because no step waits for the one before.
    advances = 1 if on_cpu else 16
    ours = {EAGER: _steps(training, _compute(job, "off"), images, device, advances)}
    if job.paper or not on_cpu:  # On a CPU compiling takes minutes, more than a small benchmark lasts.
        ours[COMPILED] = _steps(training, _compute(job, "on"), images, device, advances)
    side = f"{training.image_size} × {training.image_size}"
    return Comparison(
        title=f"DARTS_V2, {network.cells} cells × {network.channels} channels, {side} pixels, "
        f"batch {training.batch_size}: {advances} step{'s' * (advances > 1)} of training",
        unit="images",
        work=advances * training.batch_size,
        reference=PLAIN,
        steps={PLAIN: _plain(training, job, images, device, advances), **ours},
        rounds=job.rounds or training.rounds,
        targets=() if on_cpu or training is not PAPER else (Target(tuple(ours), "rate", GPU_RATE),),
        counted_as={COMPILED: EAGER},
    )


def _plain(training: Training, job: BenchJob, images: Images, device: torch.device, advances: int) -> Step:
    """So many steps of the same training, a module an operation; only images come the way that they do in ours."""
    network = PlainNetwork(DARTS_V2, training.network, CLASSES, training.image_size).to(device)
    settings = _settings(training)
    augment = Augment(settings.augmentation, random_info(training.image_size), torch.contiguous_format)
    sgd = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    streams, dropped = Streams(SEED, device), drop_path(settings.drop_path, EPOCHS // 2, EPOCHS)

    def advance() -> None:
        indices = torch.randperm(len(images), generator=streams.cpu("order"))[: training.batch_size]
        pixels, labels = images.gather(indices)
        sgd.zero_grad()
        with autocast(device, job.precision):
            logits, auxiliary = network.run(augment.train(pixels, streams.sharded("augmentation")), dropped)
        training_loss(logits, auxiliary, labels, settings.label_smoothing, settings.auxiliary_weight).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), settings.optimizer.gradient_clip)
        sgd.step()

    return _repeated(advance, advances)


def _repeated(advance: Step, times: int) -> Step:
    def step() -> None:
        for _ in range(times):
            advance()

    return step


def _compute(job: BenchJob, compiled: Literal["on", "off"]) -> Compute:
    return Compute(
        device=job.device, precision=job.precision, layout="channels_last", deterministic=False, compile=compiled
    )


def _settings(training: Training) -> RetrainStage:
    """DARTS' recipe."""
    return RetrainStage(
        origins=(), runs=(SEED,), network=training.network, epochs=EPOCHS, batch_size=training.batch_size
    )


def _steps(training: Training, compute: Compute, images: Images, device: torch.device, advances: int) -> Step:
    """So many steps of the trainer that the verb `retrain` runs, reading and augmenting included."""
    settings = _settings(training)
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
    return _repeated(trainer.advance, advances)
