"""Images as encoded files, on their own or inside archives, decoded by Pillow while they are read."""

import io
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from parsec.data.sources.base import Integers, Pixels
from parsec.data.vision import torchvision
from parsec.errors import DatasetError

Square = Callable[[Image.Image], Image.Image]
UNDECODABLE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
"""What Pillow raises for a file that is no image, or a damaged one."""


class Piece(NamedTuple):
    """Where an encoded image lies: a whole file, or `length` bytes of an archive."""

    path: str
    offset: int = 0
    length: int = -1

    def read(self) -> bytes:
        """The encoded image."""
        with open(self.path, "rb") as file:  # noqa: PTH123 (a million of them; text is smaller than Path)
            file.seek(self.offset)
            return file.read(self.length)


class Encoded(NamedTuple):
    """A collection of encoded images; `square` makes each its stored size, `labels` and `indices` are [N]."""

    pieces: Sequence[Piece]
    labels: Integers
    indices: Integers
    square: Square

    def read(self, positions: Integers) -> Pixels:
        """Decode some images, as many at once as the process may use threads: Pillow works outside Python's lock."""
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            return np.stack(list(pool.map(self._decode, positions)))

    def _decode(self, position: int) -> Pixels:
        try:
            with Image.open(io.BytesIO(self.pieces[position].read())) as image:
                return np.asarray(self.square(image.convert("RGB")))
        except UNDECODABLE as error:
            raise undecodable(self.pieces[position], error) from error


def undecodable(piece: Piece, error: BaseException) -> DatasetError:
    """What to tell the user about an image that cannot be decoded."""
    inside = f" at byte {piece.offset}" if piece.length >= 0 else ""
    return DatasetError(f"cannot decode the image {piece.path}{inside}: {error}; replace or remove the file")


def squared(side: int) -> Square:
    """Resize the short side to `side` pixels and keep the centre."""
    transforms = torchvision.transforms
    square: Square = transforms.Compose([transforms.Resize(side), transforms.CenterCrop(side)])
    return square
