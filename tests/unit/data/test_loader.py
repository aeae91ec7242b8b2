"""Batches of images: the same from memory and from the memory maps."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from parsec.data.dataset import open_split
from parsec.data.loader import Images


def test_only_packed_images_need_a_jpeg_decoder() -> None:
    blocked = (
        "import sys; sys.modules['simplejpeg'] = None; import parsec.bench.gpu, parsec.search.run, parsec.retrain.run"
    )
    subprocess.run([sys.executable, "-c", blocked], check=True)


@pytest.mark.parametrize(("limit", "resident"), [(4 * 2**30, True), (718 * 192, True), (718 * 192 - 1, False)])
def test_gather(digits: Path, limit: int, resident: bool) -> None:
    split = open_split(digits, "train")
    images = Images(split, "cpu", resident_bytes=limit)
    assert (images._resident is not None) is resident
    assert len(images) == 718
    chosen = torch.tensor([700, 3, 3, 0])
    pixels, labels = images.gather(chosen)
    assert pixels.dtype == torch.uint8
    assert labels.dtype == torch.int64
    assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), split.read(chosen.numpy()))
    assert np.array_equal(labels.numpy(), split.labels[chosen.numpy()])


@pytest.mark.parametrize("limit", [0, 2**30])
def test_limited_split(digits: Path, limit: int) -> None:
    split = open_split(digits, "validation", limit=20)
    pixels, labels = Images(split, torch.device("cpu"), limit).gather(torch.arange(20))
    assert np.array_equal(pixels.permute(0, 2, 3, 1).numpy(), split.read(np.arange(20)))
    assert torch.bincount(labels).tolist() == [2] * 10


def test_batches_are_channels_last(digits: Path) -> None:
    pixels, _ = Images(open_split(digits, "train"), "cpu").gather(torch.arange(4))
    assert pixels.shape == (4, 3, 8, 8)
    assert pixels.is_contiguous(memory_format=torch.channels_last)
