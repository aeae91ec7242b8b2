"""The handwritten digits that scikit-learn ships, as they are and written out as an image folder."""

import logging
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from parsec.config.datasets import Digits, DigitsFolder
from parsec.data.sources.base import InMemory, Integers, Pixels, Source, stratified

logger = logging.getLogger("parsec")

SIDE = 8
INK_LEVELS = 16
TEST_FRACTION = 0.2
TEST_SEED = 1797
"""Seed of the one fixed test fifth: a constant, so that no setting can move an image into or out of the test set."""
CLASSES = tuple("0123456789")


def _load() -> tuple[Pixels, Integers]:
    bunch = load_digits()
    grey = np.rint(np.asarray(bunch.images) * (255 / INK_LEVELS)).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3), np.asarray(bunch.target, dtype=np.int64)


def open_digits(settings: Digits) -> Source:
    """The 1,797 digits, 8 × 8 pixels; four fifths for training, a fixed stratified fifth for testing."""
    pixels, labels = _load()
    training, test = stratified(labels, TEST_FRACTION, TEST_SEED)
    parts = [InMemory(pixels[chosen], labels[chosen], chosen) for chosen in (training, test)]
    return Source(CLASSES, SIDE, parts[0], parts[1], served_by="scikit-learn")


def _write_png(pixels: Pixels, side: int, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).resize((side, side), Image.Resampling.BICUBIC).save(path)


def write_digits_folder(folder: Path, side: int) -> None:
    """Write the digits as PNGs in ImageNet's layout, `train/<class>/` and `val/<class>/`; earlier ones are removed."""
    for old in folder.glob("*/*/digit-*.png"):
        old.unlink()
    source = open_digits(Digits(source="digits"))
    for name, part in (("train", source.training), ("val", source.test)):
        images = part.read(np.arange(len(part.labels)))
        for image, label, index in zip(images, part.labels, part.indices, strict=True):
            _write_png(image, side, folder / name / CLASSES[label] / f"digit-{index:04d}.png")


def open_digits_folder(settings: DigitsFolder, output: Path) -> Source:
    """The digits through the image-folder reader, from PNGs that are first written to `output/folder`."""
    from parsec.data.sources.image_folder import open_folder

    folder, side = output / "folder", settings.image_size
    logger.info("writing the digits as PNGs of %d × %d pixels", side, side)
    write_digits_folder(folder, side)
    sentence = (
        f"scikit-learn's handwritten digits, enlarged from {SIDE} × {SIDE} to {side} × {side} pixels "
        "and written as an image folder, stand in for ImageNet"
    )
    return open_folder(folder, side)._replace(served_by="scikit-learn", stand_in=sentence)
