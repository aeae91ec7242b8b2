"""Data sets that a function outside of the package opens: arrays of images and labels, or a source of its own."""

from typing import Any

import numpy as np

from parsec.config.datasets import REGISTERED, Registered
from parsec.data.sources.base import InMemory, Source
from parsec.errors import DatasetError


def open_registered(settings: Registered) -> Source:
    """The images of a registered data set, once it is known that they can be stored.

    Its function takes no arguments. It returns four arrays (NumPy, or tensors on the CPU): training images, their
    labels, test images, their labels; images uint8 [N, side, side, 3], labels whole numbers [N] from 0. Or it returns a
    `Source`, whose images are read as they are stored.

    Raises:
        DatasetError: something else.
    """
    name = settings.registered
    opened = REGISTERED[name]()
    if isinstance(opened, Source):
        return opened
    if not isinstance(opened, tuple | list) or len(opened) != 4:
        raise DatasetError(
            f"data set {name}: its function returned {type(opened).__name__}; return (training images, labels, test "
            "images, labels), or a Source"
        )
    training, test = (_collection(name, *opened[i : i + 2]) for i in (0, 2))
    side = training.pixels.shape[1]
    if test.pixels.shape[1] != side:
        raise DatasetError(f"data set {name}: training images of {side} pixels, test images of {test.pixels.shape[1]}")
    classes = int(max(training.labels.max(), test.labels.max())) + 1
    if classes < 2 or len(np.unique(training.labels)) < classes:
        raise DatasetError(
            f"data set {name}: training images need labels of all classes, 0 to {classes - 1}, two or more"
        )
    return Source(tuple(map(str, range(classes))), side, training, test, served_by=f"the registered function {name}")


def _collection(name: str, images: Any, labels: Any) -> InMemory:  # noqa: ANN401 - of a function that is not ours
    """Images and labels, checked."""
    pixels, classes = np.asarray(images), np.asarray(labels)
    if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or pixels.shape[1] != pixels.shape[2]:
        raise DatasetError(
            f"data set {name}: images are {pixels.dtype} {list(pixels.shape)}; return uint8 [N, side, side, 3]"
        )
    whole = np.issubdtype(classes.dtype, np.integer)
    if not whole or classes.shape != pixels.shape[:1] or not len(classes) or classes.min() < 0:
        raise DatasetError(
            f"data set {name}: labels are {classes.dtype} {list(classes.shape)} of {len(pixels)} images; return a "
            "whole number from 0 for each"
        )
    return InMemory(pixels, classes.astype(np.int64), np.arange(len(pixels)))
