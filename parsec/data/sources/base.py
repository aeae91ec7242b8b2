"""Interface of a source of images, and the split of its training images."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from parsec.errors import DatasetError

Pixels = NDArray[np.uint8]
Integers = NDArray[np.int64]


class Collection(Protocol):
    """Labelled square images that are decoded when they are read."""

    @property
    def labels(self) -> Integers:
        """Class of every image, [N]."""
        ...

    @property
    def indices(self) -> Integers:
        """Number of every image in the source's own order, [N]; it names the image in `splits.json`."""
        ...

    def read(self, positions: Integers) -> Pixels:
        """Decode the images at some positions, [n, side, side, 3].

        Raises:
            DatasetError: an image that cannot be decoded, named.
        """
        ...


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
    """Split images into a larger or smaller rest and a `fraction`; positions in ascending order.

    Args:
        labels: class of every image, [N].
        fraction: share of the second side.
        seed: of the draw.
        names: of the classes, for messages.

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
