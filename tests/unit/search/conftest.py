"""A prepared data set and a search small enough for tests."""

import shutil

import pytest
import torch

from parsec.config.base import Compute, Running
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.search import (
    Estimator,
    PriorOptimizer,
    Ranking,
    Relaxation,
    SearchJob,
    SearchOptimizer,
    SearchStage,
)
from parsec.config.training import Augmentation, Network
from parsec.data.augment import Augment
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import Images
from parsec.data.prepare import prepare
from parsec.prior.distribution import Prior
from parsec.search.base import SearchTask
from parsec.search.run import search
from parsec.space.spaces import SPACES

STAGE = SearchStage(
    dataset="digits",
    network=Network(cells=3, channels=2),
    epochs=2,
    batch_size=16,
    train_images=48,
    validation_images=48,
    estimator=Estimator(samples=2),
    weights=SearchOptimizer(learning_rate=0.1),
    ranking=Ranking(architectures=3, images=16),
    augmentation=Augmentation(padding=1, flip=False),
)

ALWAYS = Running(checkpoint_seconds=0.0, progress_seconds=60.0)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Folder of the prepared digits, without their test split: a search must not need it."""
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder)
    shutil.rmtree(folder / "test")
    return folder


@pytest.fixture(scope="session")
def make_job():
    """A function changes of the stage → the settings of a tiny search on the CPU, three steps an epoch."""

    def make(
        stage="search",
        compute=None,
        prior_rate=0.1,
        method="parsec",
        space="darts",
        relaxation=(),
        **changes,
    ):
        changes.setdefault("prior", PriorOptimizer(learning_rate=prior_rate))
        changes["relaxation"] = Relaxation(**{"learning_rate": prior_rate, **dict(relaxation)})
        return SearchJob(
            stage=stage,
            space=space,
            method=method,
            settings=STAGE.model_copy(update=changes),
            compute=compute or Compute(device="cpu", precision="float32"),
        )

    return make


@pytest.fixture
def make_task(digits, make_job):
    """A function seed, changes → what a search method is given."""

    def make(seed=0, **changes):
        job, info = make_job(**changes), read_info(digits)
        settings = job.settings
        return SearchTask(
            job=job,
            seed=seed,
            train=Images(open_split(digits, "train", settings.train_images), "cpu"),
            validation=Images(open_split(digits, "validation", settings.validation_images), "cpu"),
            augment=Augment(settings.augmentation, info, torch.channels_last),
            classes=len(info.classes),
            prior=Prior(job.form, space=SPACES[job.space]),
            device=torch.device("cpu"),
        )

    return make


@pytest.fixture
def start(digits, make_job, tmp_path):
    """A function name → folder of a finished tiny search of that name; the same name continues its state."""

    def run(name, data=digits, seed=0, init_pi=None, **changes):
        output = tmp_path / name
        search(make_job(**changes), data, seed, output, tmp_path / "state" / name, init_pi, ALWAYS)
        return output

    return run
