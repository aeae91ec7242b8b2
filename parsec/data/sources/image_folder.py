"""Any folder of images in ImageNet's layout, listed by torchvision and decoded by Pillow while it is read."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from parsec.data.sources.base import Integers, Pixels, Source
from parsec.data.vision import torchvision
from parsec.errors import DatasetError
from parsec.settings.datasets import ImageFolder


def _square(side: int) -> Callable[[Image.Image], Image.Image]:
    transforms = torchvision.transforms
    square: Callable[[Image.Image], Image.Image] = transforms.Compose(
        [transforms.Resize(side), transforms.CenterCrop(side)]
    )
    return square


class Files(NamedTuple):
    """A collection of image files; `square` makes each its stored size, `labels` and `indices` are [N]."""

    paths: tuple[str, ...]
    labels: Integers
    indices: Integers
    square: Callable[[Image.Image], Image.Image]

    def read(self, positions: Integers) -> Pixels:
        """Decode some files, as many at once as the process may use threads: Pillow works outside Python's lock."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return np.stack(list(pool.map(self._decode, positions)))

    def _decode(self, position: int) -> Pixels:
        path = self.paths[position]
        try:
            with Image.open(path) as image:
                return np.asarray(self.square(image.convert("RGB")))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DatasetError(f"cannot decode the image {path}: {error}; replace or remove the file") from error


def _list(root: Path, side: int) -> tuple[tuple[str, ...], Files]:
    if not root.is_dir():
        raise DatasetError(f"no folder {root}; an image folder holds train/<class>/ and val/<class>/")
    try:
        listing = torchvision.datasets.ImageFolder(str(root))
    except OSError as error:
        raise DatasetError(f"{root} is not an image folder: {' '.join(str(error).split())}") from error
    paths, labels = zip(*listing.samples, strict=True)
    return tuple(listing.classes), Files(paths, np.array(labels, dtype=np.int64), np.arange(len(paths)), _square(side))


def _check_same_classes(training: tuple[str, ...], test: tuple[str, ...], folder: Path) -> None:
    for here, there, fewer in ((training, test, "val"), (test, training, "train")):
        if missing := sorted(set(here) - set(there)):
            raise DatasetError(f"{folder / fewer} lacks the class folder {missing[0]} ({len(missing)} differ in all)")


def open_folder(folder: Path, side: int) -> Source:
    """List `train/` and `val/` of a folder; images are decoded later, resized by the short side, their centre kept.

    Raises:
        DatasetError: a missing or empty folder, or classes of `train` and `val` that differ.
    """
    classes, training = _list(folder / "train", side)
    test_classes, test = _list(folder / "val", side)
    _check_same_classes(classes, test_classes, folder)
    return Source(classes, side, training, test, served_by="folder")


def open_image_folder(settings: ImageFolder) -> Source:
    """The image folder that the settings name."""
    return open_folder(Path(settings.folder).expanduser(), settings.image_size)
