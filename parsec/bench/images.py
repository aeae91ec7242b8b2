"""Random images that stand for a data set where only their size matters."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from parsec.bench.workload import SEED
from parsec.data.dataset import DatasetInfo
from parsec.data.loader import Images
from parsec.data.part import Part, Shards

CLASSES = 10


def random_images(count: int, side: int, device: torch.device) -> Images:
    """So many images of `side` × `side` pixels, in the device's memory."""
    draws = np.random.default_rng(SEED)
    pixels = draws.integers(256, size=(count, side, side, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.npy"
        np.save(path, pixels)
        return Images(Part(Shards([path]), np.arange(count), draws.integers(CLASSES, size=count)), device)


def random_info(side: int) -> DatasetInfo:
    """Their facts: uniform values have the mean a half and the standard deviation 1/√12."""
    names = tuple(map(str, range(CLASSES)))
    return DatasetInfo("random", names, side, (0.5,) * 3, (12**-0.5,) * 3, {}, content_hash="", stand_in=None)
