"""Making an image the JPEG that is stored: its short side as asked for, in RGB."""

import io
from typing import NamedTuple

import numpy as np
import simplejpeg
from PIL import Image

from parsec.data.sources.encoded import Piece, read_rgb

SPARE = 2
"""A JPEG is first decoded at the smallest scale with so many times the pixels that are kept, a side."""
SAME = 1.0
"""Two decodings whose values differ by less, on average, are of one image; builds of libjpeg may round differently."""


class Stored(NamedTuple):
    """An encoded image and what is known of it."""

    content: bytes
    width: int
    height: int
    histogram: list[int]
    """Counts of the 256 values of red, green and blue, [768]."""


def encode(piece: Piece, short_side: int, quality: int) -> Stored:
    """Read an image and encode it; a JPEG in RGB that is small enough stays as it is, since encoding loses detail.

    Raises:
        DatasetError: an image that cannot be decoded, named.
    """
    content = piece.read()
    image = read_rgb(content, piece.name, SPARE * short_side)
    if min(image.size) <= short_side and _trains_as(content, image):
        return Stored(content, *image.size, image.histogram())
    small = _shrunk(image, short_side)
    written = io.BytesIO()
    small.save(written, "JPEG", quality=quality)
    return Stored(written.getvalue(), *small.size, small.histogram())


def _trains_as(content: bytes, image: Image.Image) -> bool:
    """Whether the file is a colour JPEG that the decoder of training accepts, and decodes to this image.

    That decoder refuses what Pillow only warns of, such as spare bytes, and leaves EXIF orientation out.
    """
    try:
        if simplejpeg.decode_jpeg_header(content)[2] not in ("YCbCr", "RGB"):
            return False
        pixels = simplejpeg.decode_jpeg(content, "RGB")
    except ValueError:
        return False
    expected = np.asarray(image)
    return pixels.shape == expected.shape and float(np.abs(pixels - expected.astype(np.int16)).mean()) < SAME


def _shrunk(image: Image.Image, short_side: int) -> Image.Image:
    """The image with its short side at most `short_side`."""
    scale = short_side / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(round(length * scale), short_side) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)
