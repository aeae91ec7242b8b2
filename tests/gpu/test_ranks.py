"""Runs shared out over two GPUs: a search is that of one GPU to rounding, both give the same bytes again."""

import json
import subprocess
import sys

import pytest
import torch
from job_file import job_file

from parsec.config.base import Compute, as_json
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.retrain import RetrainAugmentation, RetrainJob, RetrainStage
from parsec.config.search import Estimator, SearchJob, SearchStage
from parsec.config.training import Augmentation, Stack
from parsec.data.prepare import prepare

pytestmark = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the prepared digits under `data`."""
    made = tmp_path_factory.mktemp("ranks")
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), made / "data")
    return made


@pytest.fixture(scope="module")
def search(folder):
    """A function name, ranks → folder of a finished search of six steps in float32."""
    stage = SearchStage(
        dataset="digits",
        network=Stack(cells=3, channels=4),
        epochs=2,
        batch_size=32,
        train_images=96,
        validation_images=96,
        estimator=Estimator(samples=5),
        augmentation=Augmentation(padding=1),
    )
    compute = Compute(device="cuda", precision="float32")
    job = SearchJob(stage="search", space="darts", method="parsec", settings=stage, compute=compute)

    def run(name, ranks):
        command = [sys.executable, "-m", "parsec", "search", "--settings", job_file(folder, as_json(job))]
        command += [
            "--data",
            folder / "data",
            "--seed",
            "0",
            "--output",
            folder / name,
            "--state",
            folder / "state",
            "--ranks",
            str(ranks),
        ]
        subprocess.run(command, check=True, timeout=300)
        return folder / name

    return run


def first_step(folder):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    row = next(row for row in rows if row["event"] == "step")
    return [value for value in row.values() if isinstance(value, float)]


def test_two_gpu_step_matches_single_gpu(search):
    alone, shared = first_step(search("alone", 1)), first_step(search("shared", 2))
    assert shared == pytest.approx(alone, rel=1e-3)


def test_two_gpu_search_is_bitwise_reproducible(search):
    first, again = search("first", 2), search("again", 2)
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (first / name).read_bytes() == (again / name).read_bytes()


def retrained(folder, name):
    """What a training of two epochs on both GPUs leaves."""
    stage = RetrainStage(
        origins=(), runs=(0,), network=Stack(cells=3, channels=4), epochs=2, batch_size=32, train_images=256,
        augmentation=RetrainAugmentation(padding=1, cutout=2),
    )  # fmt: skip
    job = RetrainJob(dataset="digits", space="darts", settings=stage, compute=Compute(device="cuda"))
    command = [sys.executable, "-m", "parsec", "retrain", "--settings", job_file(folder, as_json(job))]
    command += [
        "--data",
        folder / "data",
        "--genotype",
        "DARTS_V2",
        "--origin",
        "published",
        "--method",
        "DARTS_V2",
        "--seed",
        "0",
        "--run",
        "0",
    ]
    command += ["--output", folder / name, "--state", folder / "state", "--ranks", "2"]
    subprocess.run(command, check=True, timeout=300)
    return folder / name


def test_two_gpu_retraining_is_bitwise_reproducible(folder):
    first, again = retrained(folder, "trained"), retrained(folder, "trained-again")
    assert (first / "weights.safetensors").read_bytes() == (again / "weights.safetensors").read_bytes()
    result = json.loads((first / "result.json").read_text())
    assert (result["cost"]["ranks"], result["batch_norm_images"]) == (2, 16)
