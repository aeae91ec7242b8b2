"""The loading benchmark on packed JPEGs."""

import logging
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from parsec.bench.data import bench_loader
from parsec.bench.harness import Rates
from parsec.bench.workload import BenchJob
from parsec.config.datasets import ImageFolder, Jpeg, PrepareJob
from parsec.data.prepare import prepare


def test_packed_loader_is_compared_with_torchvision(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "source" / part / name).mkdir(parents=True)
            for i in range(64):
                pixels = rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / "source" / part / name / f"{i}.jpg")
    folder = ImageFolder(source="image_folder", folder=str(tmp_path / "source"), image_size=32, jpeg=Jpeg())
    prepare(PrepareJob(name="noise", dataset=folder), tmp_path / "data")
    logging.getLogger("parsec").setLevel(logging.WARNING)
    job = BenchJob(what="loader", device="cpu", precision="float32", rounds=1, paper=False, tiny=True)
    (document,) = bench_loader(job, torch.device("cpu"), Rates(1e9, 1e9), tmp_path / "data")
    assert document["work"] == 64
    assert [row["contender"].split(",")[0] for row in document["rows"]] == ["torchvision's ImageFolder", "packed"]
    assert document["targets"][0]["target"] == 1.5
