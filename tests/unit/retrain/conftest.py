"""A training small enough for tests."""

import pytest
import torch

from parsec.config.base import Compute
from parsec.config.retrain import RetrainAugmentation, RetrainJob, RetrainStage
from parsec.config.training import Optimizer, Stack
from parsec.data.augment import Augment
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import Images
from parsec.retrain.trainer import RetrainTask
from parsec.space.published import DARTS_V2

STAGE = RetrainStage(
    origins=(),
    runs=(0,),
    network=Stack(cells=3, channels=2),
    epochs=2,
    batch_size=16,
    train_images=64,
    optimizer=Optimizer(learning_rate=0.1),
    augmentation=RetrainAugmentation(padding=1, flip=False, cutout=2),
)


@pytest.fixture
def make_job():
    """A function changes → the settings of a tiny training on the CPU."""

    def make(compile="auto", **changes):
        compute = Compute(device="cpu", precision="float32", compile=compile)
        return RetrainJob(dataset="digits", space="darts", settings=STAGE.model_copy(update=changes), compute=compute)

    return make


@pytest.fixture
def make_task(digits, make_job):
    """A function changes → what a trainer of the tiny training is given; it learns from the training split."""

    def make(genotype=DARTS_V2, seed=0, **changes):
        job, info = make_job(**changes), read_info(digits)
        settings = job.settings
        return RetrainTask(
            genotype=genotype,
            settings=settings,
            compute=job.compute,
            images=Images(open_split(digits, "train", settings.train_images), "cpu"),
            augment=Augment(settings.augmentation, info, torch.channels_last),
            classes=len(info.classes),
            seed=seed,
            device=torch.device("cpu"),
        )

    return make
