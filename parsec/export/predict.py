"""Classes of the images in a folder, by a trained network."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from parsec.data.augment import centre
from parsec.data.shards import Progress
from parsec.data.sources.encoded import Piece, read_rgb, squared
from parsec.data.vision import torchvision
from parsec.errors import DatasetError, UserError
from parsec.export.onnx import Trained, load_trained
from parsec.report.tables.base import csv_text
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file, signature_of, write_outputs

BATCH = 64
Row = tuple[str, str | None, float | None, str | None]
COLUMNS = ("image", "class", "probability", "error")


def predict(run: Path, data: Path, images: Path, output: Path) -> None:
    """Write a CSV with a row per image: path, class, probability; and of an image that cannot be read, the error.

    Text that a spreadsheet would take for a formula, or that cannot be printed, is escaped as `csv_text` does it.

    Raises:
        UserError: a file that could not be written, no images, or a network that cannot be loaded.
    """
    check_file(output, signature_of(",".join(COLUMNS).encode()))
    trained = load_trained(run, data)
    paths = _images(images)
    rows: list[Row] = []
    progress = Progress("predict", len(paths))
    for start in range(0, len(paths), BATCH):
        batch = paths[start : start + BATCH]
        rows += _rows(trained, images, batch)
        progress.advance(len(batch))
    cells = [[csv_text(cell) if isinstance(cell, str) else cell for cell in row] for row in rows]
    write_outputs({output: pd.DataFrame(cells, columns=list(COLUMNS)).to_csv(index=False)})
    failed = sum(row[3] is not None for row in rows)
    logger.info("%s: %d images, %d not decoded", output, len(rows), failed)


def _images(folder: Path) -> list[Path]:
    """Every file below `folder` with the ending of an image, whatever it is; hidden ones are left out.

    A link to a folder is followed unless it leads to where images are looked for anyway, as the links of a loop do.
    """
    extensions = torchvision.datasets.folder.IMG_EXTENSIONS
    top = Path(os.path.realpath(folder))
    seen, images, hidden = {top}, list[Path](), 0
    for root, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        named = [Path(root, name) for name in files if Path(name.lstrip(".")).suffix.lower() in extensions]
        images += [path for path in named if not path.name.startswith(".")]
        hidden += sum(path.name.startswith(".") for path in [*named, *map(Path, folders)])
        entered = []
        for name in sorted(folders):
            path = Path(root, name)
            real = Path(os.path.realpath(path))
            inside = path.is_symlink() and (real.is_relative_to(top) or top.is_relative_to(real))
            if not name.startswith(".") and not inside and real not in seen:
                entered.append(name)
                seen.add(real)
        folders[:] = entered
    if hidden:
        logger.info("%s: %d hidden files and folders are left out", folder, hidden)
    if not images:
        raise UserError(f"{folder}: holds no image; give a folder with images ({', '.join(extensions)})")
    return sorted(images)


def _refuse(error: OSError) -> None:
    raise UserError(f"{error.filename}: cannot be listed ({error.strerror}); give a folder of images") from error


def _rows(trained: Trained, folder: Path, paths: list[Path]) -> Iterator[Row]:
    opened = [_opened(trained, path) for path in paths]
    pixels = [image for image in opened if not isinstance(image, str)]
    answers = iter(_answers(trained, torch.stack(pixels)) if pixels else [])
    for path, image in zip(paths, opened, strict=True):
        name = str(path.relative_to(folder))
        yield (name, None, None, image) if isinstance(image, str) else (name, *next(answers), None)


def _opened(trained: Trained, path: Path) -> torch.Tensor | str:
    """An image as the network takes it, uint8 [3, side, side], or why it cannot be read."""
    square = squared(trained.view.short_side)
    try:
        image = read_rgb(Piece(str(path)).read(), path.name)
    except DatasetError as error:
        return str(error)
    return centre(torch.from_numpy(np.array(square(image))).permute(2, 0, 1), trained.view.side)


def _answers(trained: Trained, images: torch.Tensor) -> list[tuple[str, float]]:
    with torch.no_grad():
        probability, label = trained.module(images.float()).softmax(1).max(1)
    return [(trained.info.classes[i], p) for i, p in zip(label.tolist(), probability.tolist(), strict=True)]
