"""Small data sets for the tests of the data package."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parsec.data.dataset import DatasetInfo


@pytest.fixture
def make_info() -> Callable[..., DatasetInfo]:
    """The facts of a made-up data set with another mean and deviation for every channel."""

    def make(image_size: int = 8, std: tuple[float, ...] = (0.2, 0.3, 0.25)) -> DatasetInfo:
        return DatasetInfo(
            name="made-up",
            classes=("a", "b"),
            image_size=image_size,
            mean=(0.4, 0.5, 0.6),
            std=std,
            counts={"train": 4, "validation": 4, "test": 4},
            content_hash="0" * 64,
            stand_in=None,
        )

    return make


@pytest.fixture
def image_folder(tmp_path: Path) -> Path:
    """An image folder of two classes with 12 training and 3 test images each, 48 × 40 pixels."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 3)):
        for name in ("cat", "dog"):
            folder = tmp_path / "source" / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(folder / f"{i:02d}.png")
    return tmp_path / "source"
