"""A prepared data set and a scoring small enough for tests."""

import shutil

import pytest

from parsec.config.base import Compute, Running
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.zero_cost import Score, ScoreJob
from parsec.data.prepare import prepare
from parsec.zero_cost.score import score

SELDOM = Running(checkpoint_seconds=600.0, progress_seconds=600.0)


@pytest.fixture(scope="session")
def digits(tmp_path_factory):
    """Folder of the prepared digits with nothing but the training split: no score may need another split."""
    folder = tmp_path_factory.mktemp("digits")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), folder)
    shutil.rmtree(folder / "test")
    shutil.rmtree(folder / "validation")
    return folder


@pytest.fixture(scope="session")
def make_job():
    """A function count, changes of the score → settings on the CPU."""

    def make(architectures=3, **changes):
        settings = Score(**{"batch_size": 8, **changes})
        compute = Compute(device="cpu")
        return ScoreJob(
            space="nasbench201", dataset="digits", architectures=architectures, score=settings, compute=compute
        )

    return make


@pytest.fixture
def start(digits, make_job, tmp_path):
    """A function name, seed, changes → the `scores.parquet` of a scoring."""

    def run(name, seed=0, running=SELDOM, **changes):
        score(make_job(**changes), digits, seed, tmp_path / name, tmp_path / "state" / name, running)
        return tmp_path / name / "scores.parquet"

    return run
