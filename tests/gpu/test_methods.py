"""The compared methods on a GPU: the same bytes again, and less memory for GDAS than for DARTS."""

import json

import pytest
import torch

from parsec.config.base import Compute, Running
from parsec.config.search import RandomSearch, SearchJob, SearchStage
from parsec.config.training import Augmentation, Network
from parsec.search.methods import METHODS
from parsec.search.run import search

pytestmark = pytest.mark.usefixtures("deterministic")


@pytest.fixture
def start(digits, tmp_path):
    """A function name, method → folder of a search of one epoch."""

    def run(name, method):
        stage = SearchStage(
            dataset="digits",
            network=Network(cells=3, channels=8),
            epochs=1,
            batch_size=64,
            random=RandomSearch(candidates=2, architectures=1, epochs=1),
            augmentation=Augmentation(padding=1, flip=False),
        )
        job = SearchJob(stage="search", space="darts", method=method, settings=stage, compute=Compute(device="cuda"))
        search(job, digits, 0, tmp_path / name, tmp_path / f"{name}-state", None, Running())
        return tmp_path / name

    return run


@pytest.mark.parametrize("method", METHODS)
def test_two_runs_have_equal_bytes(start, method):
    once, again = start("once", method), start("again", method)
    for name in ("pi.parquet", "genotype.json"):
        assert (once / name).read_bytes() == (again / name).read_bytes()


def test_gdas_takes_less_memory_than_darts(start):
    peaks = {}
    for method in ("gdas", "darts"):
        torch.cuda.reset_peak_memory_stats()
        folder = start(method, method)
        peaks[method] = json.loads((folder / "result.json").read_text())["cost"]["peak_memory_bytes"]
    assert peaks["gdas"] < peaks["darts"]
