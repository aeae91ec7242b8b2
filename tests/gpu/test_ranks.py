"""Runs shared out over two GPUs: a search is that of one GPU to rounding, both give the same bytes again."""

import json
import subprocess
import sys

import pytest
import torch
from job_file import job_file

from parsec.config.base import Compute, as_json
from parsec.config.retrain import RetrainAugmentation, RetrainJob, RetrainStage
from parsec.config.search import Estimator, SearchJob, SearchStage
from parsec.config.training import Augmentation, Stack

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
SIZES = {"network": Stack(cells=3, channels=4), "epochs": 2, "batch_size": 32}
SEARCH = SearchJob(
    stage="search",
    space="darts",
    method="parsec",
    settings=SearchStage(
        dataset="digits",
        train_images=96,
        validation_images=96,
        estimator=Estimator(samples=5),
        augmentation=Augmentation(padding=1),
        **SIZES,
    ),
    compute=Compute(device="cuda", precision="float32"),
)
"""Six steps."""
RETRAIN = RetrainJob(
    dataset="digits",
    space="darts",
    settings=RetrainStage(
        origins=(), runs=(0,), train_images=256, augmentation=RetrainAugmentation(padding=1, cutout=2), **SIZES
    ),
    compute=Compute(device="cuda"),
)
JOBS = {
    "search": (SEARCH, ()),
    "retrain": (RETRAIN, ("--genotype", "DARTS_V2", "--origin", "published", "--method", "DARTS_V2", "--run", "0")),
}


@pytest.fixture
def start(digits, tmp_path):
    """A function verb, name, ranks → folder of a finished run of that job."""

    def run(verb, name, ranks=2):
        job, names = JOBS[verb]
        command = [sys.executable, "-m", "parsec", verb, "--settings", job_file(tmp_path, as_json(job)), *names]
        command += ["--data", digits, "--seed", "0", "--output", tmp_path / name, "--state", tmp_path / "state"]
        subprocess.run([*command, "--ranks", str(ranks)], check=True, timeout=300)
        return tmp_path / name

    return run


def first_step(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["event"] == "step")
    return [value for value in row.values() if isinstance(value, float)]


def test_two_gpu_step_matches_single_gpu(start):
    alone, shared = first_step(start("search", "alone", 1)), first_step(start("search", "shared"))
    assert shared == pytest.approx(alone, rel=1e-3)


def test_two_gpu_search_is_bitwise_reproducible(start):
    first, again = start("search", "first"), start("search", "again")
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


def test_two_gpu_retraining_is_bitwise_reproducible(start):
    first, again = start("retrain", "first"), start("retrain", "again")
    assert (first / "weights.safetensors").read_bytes() == (again / "weights.safetensors").read_bytes()
    result = json.loads((first / "result.json").read_text())
    assert (result["cost"]["ranks"], result["batch_norm_images"]) == (2, 16)
