"""The form in which every source hands over its images, before they are split and written."""

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

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
