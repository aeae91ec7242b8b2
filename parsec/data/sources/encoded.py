"""Images as encoded files, on their own or inside archives, decoded by Pillow while they are read."""

import io
import os
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError

from parsec.data.dataset import Integers, Pixels
from parsec.data.vision import torchvision
from parsec.errors import DatasetError

Square = Callable[[Image.Image], Image.Image]
DAMAGED = (
    *(ArithmeticError, AttributeError, EOFError, LookupError, NotImplementedError, OSError, SyntaxError, TypeError),
    *(ValueError, struct.error, zlib.error, Image.DecompressionBombError),
)
"""Errors that readers of file formats raise for a file that is damaged, or another kind of file."""
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""Transposition that makes an image upright, by its EXIF orientation."""
SIXTEEN_BITS_AS_32 = ("PNG", "PPM")
"""Formats whose 16-bit images Pillow (some versions) reads as mode I, values 0 to 65535."""


class Piece(NamedTuple):
    """Location of an encoded image: a whole file, or `length` bytes of an archive."""

    path: str
    offset: int = 0
    length: int = -1

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.path} at byte {self.offset}" if self.length >= 0 else self.path

    def read(self) -> bytes:
        """The encoded image.

        Raises:
            DatasetError: no regular file (a named pipe would be waited for without end), or one that cannot be read.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise DatasetError(f"{self.path} is no regular file; remove it")
                file.seek(self.offset)
                return file.read(self.length)
        except OSError as error:
            raise DatasetError(f"cannot read the image {self.path}: {error.strerror}; replace or remove it") from error


def read_rgb(content: bytes, name: str, least: int | None = None) -> Image.Image:
    """Decode an image to 8-bit RGB, upright: the one place that says what an image file looks like to a network.

    The EXIF orientation is applied. Values of 16 bits are divided by 256, so that 65535 becomes 255. 32-bit integers
    and floating-point numbers have no range of their own and are refused. Transparency is dropped as by Pillow and
    torchvision: colours are those stored, whatever the alpha. Of several frames the first is taken.

    Args:
        content: the encoded image.
        name: of the file, for messages.
        least: a JPEG may be decoded at a smaller scale whose sides have at least `least` pixels; None: full size.

    Raises:
        DatasetError: an image that cannot be decoded, named.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            if least is not None:
                image.draft("RGB", (least, least))
            image.load()
            turn = TURNS.get(_orientation(image))
            # A transparent colour is dropped beforehand, or Pillow warns that it is lost.
            image.info.pop("transparency", None)
            rgb = _eight_bits(image).convert("RGB")
            return rgb if turn is None else rgb.transpose(turn)
    except UnidentifiedImageError as error:
        reason = "no image of a kind that Pillow reads" if content else "the file is empty"
        raise DatasetError(f"cannot decode the image {name}: {reason}; replace or remove the file") from error
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"cannot decode the image {name}: {reason}; replace or remove the file") from error


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except DAMAGED:
        # A damaged EXIF block is common and says nothing; the image itself is intact.
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """The image with at most 8 bits per channel; a ValueError for values whose range is not known."""
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in SIXTEEN_BITS_AS_32):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise ValueError(f"mode {image.mode} (32 bits per value) has no fixed range; convert it to 8 or 16 bits")
    return image


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
        piece = self.pieces[position]
        return np.asarray(self.square(read_rgb(piece.read(), piece.name)))


def squared(side: int) -> Square:
    """Resize the short side to `side` pixels and keep the centre."""
    transforms = torchvision.transforms
    square: Square = transforms.Compose([transforms.Resize(side), transforms.CenterCrop(side)])
    return square
