"""Real photographs through the chain of ImageNet: JPEG shards, search, retraining, export and prediction."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml
from PIL import Image
from workspace import ROOT, Workspace, environment

SPLITS = {"train": 12, "val": 4}
"""Images of a class."""


def photographs(path: Path, count: int, classes: int) -> pd.DataFrame:
    """JPEG bytes and class of the first images of the first classes."""
    table = pq.read_table(path)
    rows = table.select(["image_jpeg", "wnid", "file"]).to_pandas()
    kept = sorted(rows["wnid"].unique())[:classes]
    return rows[rows["wnid"].isin(kept)].groupby("wnid").head(count)


def write_folders(folder: Path, rows: pd.DataFrame) -> None:
    for number, row in enumerate(rows.itertuples()):
        (folder / row.wnid).mkdir(parents=True, exist_ok=True)
        (folder / row.wnid / f"{number}.JPEG").write_bytes(row.image_jpeg)


@pytest.fixture
def imagenette(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    for split, count in SPLITS.items():
        rows = photographs(shared_data(f"imagenette224-{split}.parquet"), count, 5)
        write_folders(tmp_path / "imagenette" / split, rows)
    return tmp_path / "imagenette"


@pytest.fixture
def tiny_imagenet(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """As it is unpacked: `val` is flat, and its labels are in a file."""
    folder = tmp_path / "tiny-imagenet"
    write_folders(folder / "train", photographs(shared_data("tiny-imagenet-32-train.parquet"), 4, 200))
    rows = photographs(shared_data("tiny-imagenet-32-val.parquet"), 1, 200)
    (folder / "val" / "images").mkdir(parents=True)
    lines = []
    for number, row in enumerate(rows.itertuples()):
        (folder / "val" / "images" / f"val_{number}.JPEG").write_bytes(row.image_jpeg)
        lines.append(f"val_{number}.JPEG\t{row.wnid}\t0\t0\t31\t31\n")
    (folder / "val" / "val_annotations.txt").write_text("".join(lines))
    return folder


def chain(workspace: Workspace, folder: Path, size: int, crop: int, **data: object) -> None:
    """The tiny settings with search and retraining on these photographs."""
    settings = yaml.safe_load((workspace.base / "settings.yaml").read_text())
    settings["datasets"] = {"photos": {"source": "image_folder", "folder": str(folder), "image_size": size, **data}}
    augmentation = {"crop": "resized", "size": crop, "scale": 0.3, "colour_jitter": 0.4}
    stage = settings["search"] | {"dataset": "photos", "augmentation": augmentation, "train_images": None}
    stage |= {"network": {"stem": "imagenet", "cells": 3, "channels": 4}, "validation_images": None}
    training = settings["retrain"]["digits-folder"] | {"origins": ["search"], "augmentation": augmentation}
    training |= {"train_images": None, "compare_with": None}
    settings |= {"search": stage, "finetune": None, "transfer": None, "retrain": {"photos": training}}
    (workspace.base / "settings.yaml").write_text(yaml.safe_dump(settings))
    done = workspace.run("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr


def parsec(workspace: Workspace, *options: str) -> str:
    command = [sys.executable, "-m", "parsec", *options]
    done = subprocess.run(command, cwd=workspace.work, env=environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_photographs_of_some_classes_as_shards(fresh: Workspace, imagenette: Path, tmp_path: Path) -> None:
    chain(fresh, imagenette, 128, 64, classes=4, jpeg={"quality": 90})
    data, run = fresh.results / "data" / "photos", fresh.results / "retrain/photos/search/parsec/seed0/run0"
    info = json.loads((data / "dataset.json").read_text())
    assert len(info["classes"]) == 4
    assert list(data.glob("test/*.tar"))
    result = json.loads((run / "result.json").read_text())
    assert (result["test"]["images"], result["provenance"]["settings"]["settings"]["epochs"]) == (16, 1)
    parsec(fresh, "export", str(run), "--data", str(data), "--output", str(tmp_path / "exported"))
    assert (tmp_path / "exported" / "network.onnx").stat().st_size > 10_000
    parsec(fresh, "predict", str(run), "--data", str(data), "--images", str(imagenette / "val"), "--output", "out.csv")
    predicted = pd.read_csv(fresh.work / "out.csv")
    assert len(predicted) == 20
    assert set(predicted["class"]) <= set(info["classes"])


def test_tiny_imagenet_accepts_flat_validation(fresh: Workspace, tiny_imagenet: Path) -> None:
    chain(fresh, tiny_imagenet, 32, 32)
    result = json.loads((fresh.results / "retrain/photos/search/parsec/seed0/run0/result.json").read_text())
    assert result["test"]["images"] == 200
    assert 0 <= result["test"]["top5_error"] <= result["test"]["top1_error"] <= 100


SMALL = """
seeds: [0]
search: {network: {cells: 3, channels: 2}, epochs: 1, batch_size: 4, estimator: {samples: 2}}
retrain: {photos: {network: {cells: 3, channels: 2}, epochs: 1, batch_size: 4}}
"""


def test_ten_lines_of_readme_run(fresh: Workspace) -> None:
    """The README's settings for own images, with a second file merged over them for time."""
    rng = np.random.default_rng(0)
    for number, name in enumerate(("train/cat", "train/dog", "val/cat", "val/dog")):
        (fresh.work / "photos" / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 256, (40 + i, 50, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(fresh.work / "photos" / name / f"{number}-{i}.png")
    block = re.search(r"```yaml\n(datasets:.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    (fresh.work / "photos.yaml").write_text(block[1])
    (fresh.work / "small.yaml").write_text(SMALL)
    done = fresh.run("--configfile", str(fresh.work / "photos.yaml"), str(fresh.work / "small.yaml"), "--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"(settings: {fresh.work}/photos.yaml, {fresh.work}/small.yaml)" in done.stdout + done.stderr
    rows = pd.read_csv(fresh.results / "tables" / "photos.csv")
    assert rows["trainings"].tolist() == [1]
    settings = yaml.safe_load((fresh.results / "settings.yaml").read_text())
    assert (settings["search"]["estimator"]["samples"], settings["retrain"]["photos"]["drop_path"]) == (2, 0.2)
