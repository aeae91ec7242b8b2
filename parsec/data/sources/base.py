"""Interface of a source of images, the split of its training images, and the sources that read no files.

These are functions that plugins register, and the handwritten digits that scikit-learn ships.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from parsec.config.datasets import REGISTERED, Registered
from parsec.data.dataset import Integers, Pixels
from parsec.errors import DatasetError


class Collection(Protocol):
    """Labelled square images that are decoded when they are read."""

    @property
    def labels(self) -> Integers:
        """Class of every image, [N]."""

    @property
    def indices(self) -> Integers:
        """Number of every image in the source's own order, [N]; it names the image in `splits.json`."""

    def read(self, positions: Integers) -> Pixels:
        """Decode the images at some positions, [n, side, side, 3].

        Raises:
            DatasetError: an image that cannot be decoded, named.
        """


class InMemory(NamedTuple):
    """A collection that is decoded already: `pixels` [N, side, side, 3]."""

    pixels: Pixels
    labels: Integers
    indices: Integers

    def read(self, positions: Integers) -> Pixels:
        """Copy out the images at some positions."""
        return self.pixels[positions]


class Source(NamedTuple):
    """A data set as its source serves it: images for training (still one set) and for testing."""

    classes: tuple[str, ...]
    image_size: int
    training: Collection
    test: Collection
    served_by: str
    stand_in: str | None = None


def stratified(labels: Integers, fraction: float, seed: int, names: Sequence[str] = ()) -> tuple[Integers, Integers]:
    """Split images with labels [N] into the rest and a `fraction`, with equal shares of every class; positions ascend.

    `names` are those of the classes, for messages.

    Raises:
        DatasetError: a class with one image, or fewer images on a side than classes.
    """
    # Checked here, because the error of scikit-learn does not name the class.
    classes, counts = np.unique(labels, return_counts=True)
    if (rare := classes[counts < 2]).size:
        name = names[rare[0]] if names else f"class {rare[0]}"
        what = f"{name} has 1 image" if rare.size == 1 else f"{rare.size} classes have 1 image, the first {name}"
        raise DatasetError(f"{what}; the split needs 2: add images or remove the class")
    try:
        rest, chosen = train_test_split(
            np.arange(len(labels)), test_size=fraction, random_state=seed, shuffle=True, stratify=labels
        )
    except ValueError as error:
        raise DatasetError(
            f"{len(labels)} images cannot be split with a share of {fraction}: one side would have fewer images than "
            f"the {classes.size} classes; move `validation_fraction` towards 0.5"
        ) from error
    return np.sort(rest), np.sort(chosen)


def open_registered(settings: Registered) -> Source:
    """The images of a registered data set, once it is known that they can be stored; see `parsec.register_dataset`.

    Raises:
        DatasetError: its function returned something else than arrays of images and labels, or a `Source`.
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


SIDE = 8
INK_LEVELS = 16
TEST_FRACTION = 0.2
TEST_SEED = 1797
"""Seed of the one fixed test fifth: a constant, so that no setting can move an image into or out of the test set."""
CLASSES = tuple("0123456789")


def open_digits() -> Source:
    """The 1,797 digits, 8 × 8 pixels; four fifths for training, a fixed stratified fifth for testing."""
    bunch = load_digits()
    grey = np.rint(np.asarray(bunch.images) * (255 / INK_LEVELS)).astype(np.uint8)
    pixels, labels = np.repeat(grey[..., None], 3, axis=3), np.asarray(bunch.target, dtype=np.int64)
    chosen = stratified(labels, TEST_FRACTION, TEST_SEED)
    training, test = (InMemory(pixels[positions], labels[positions], positions) for positions in chosen)
    return Source(CLASSES, SIDE, training, test, served_by="scikit-learn")
