"""Classes of the images in a folder, by a trained network."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from parsec.data.sources.encoded import Piece, read_rgb
from parsec.data.vision import torchvision
from parsec.errors import DatasetError, UserError
from parsec.export.trained import Trained, load_trained
from parsec.runtime.files import temporary_path
from parsec.runtime.outputs import check_file, signature_of

BATCH = 64
Row = tuple[str, str | None, float | None, str | None]
COLUMNS = ("image", "class", "probability", "error")
PROGRESS_SECONDS = 5.0

logger = logging.getLogger("parsec")


def predict(run: Path, data: Path, images: Path, output: Path) -> None:
    """Write a CSV with a row an image: path, class, probability; and of an image that cannot be decoded, the error.

    Raises:
        UserError: no images, or a network that cannot be loaded.
    """
    check_file(output, signature_of(",".join(COLUMNS).encode()))
    trained = load_trained(run, data)
    paths = _images(images)
    rows: list[Row] = []
    spoken = time.monotonic()
    for start in range(0, len(paths), BATCH):
        rows += _rows(trained, images, paths[start : start + BATCH])
        if time.monotonic() - spoken > PROGRESS_SECONDS:
            spoken = time.monotonic()
            logger.info("predict: %d of %d images", len(rows), len(paths))
    with temporary_path(output) as temporary:
        pd.DataFrame(rows, columns=list(COLUMNS)).to_csv(temporary, index=False)
    failed = sum(row[3] is not None for row in rows)
    logger.info("%s: %d images, %d not decoded", output, len(rows), failed)


def _images(folder: Path) -> list[Path]:
    extensions = torchvision.datasets.folder.IMG_EXTENSIONS
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in extensions)
    if not found:
        raise UserError(f"{folder}: holds no image; give a folder with images ({', '.join(extensions)})")
    return found


def _rows(trained: Trained, folder: Path, paths: list[Path]) -> Iterator[Row]:
    opened = [_opened(trained, path) for path in paths]
    pixels = [image for image in opened if not isinstance(image, str)]
    answers = iter(_answers(trained, torch.stack(pixels)) if pixels else [])
    for path, image in zip(paths, opened, strict=True):
        name = str(path.relative_to(folder))
        yield (name, None, None, image) if isinstance(image, str) else (name, *next(answers), None)


def _opened(trained: Trained, path: Path) -> torch.Tensor | str:
    """An image as the network takes it, uint8 [3, side, side], or why it cannot be read."""
    transforms = torchvision.transforms
    square = transforms.Compose([transforms.Resize(trained.whole_side), transforms.CenterCrop(trained.image_size)])
    try:
        image = read_rgb(Piece(str(path)).read(), path.name)
    except DatasetError as error:
        return str(error)
    return torch.from_numpy(np.array(square(image))).permute(2, 0, 1)


def _answers(trained: Trained, images: torch.Tensor) -> list[tuple[str, float]]:
    with torch.no_grad():
        probability, label = trained.module(images.float()).softmax(1).max(1)
    return [(trained.info.classes[i], p) for i, p in zip(label.tolist(), probability.tolist(), strict=True)]
