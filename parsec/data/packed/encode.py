"""Making an image the JPEG that is stored: its short side as asked for, in RGB."""

import io
from typing import NamedTuple

from PIL import Image

from parsec.data.sources.encoded import UNDECODABLE, Piece, undecodable

SPARE = 2
"""A JPEG is first decoded at the smallest scale with so many times the pixels that are kept, a side."""


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
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.format == "JPEG" and image.mode == "RGB" and min(image.size) <= short_side:
                return Stored(content, *image.size, image.histogram())
            image.draft("RGB", (SPARE * short_side, SPARE * short_side))
            small = _shrunk(image.convert("RGB"), short_side)
    except UNDECODABLE as error:
        raise undecodable(piece, error) from error
    written = io.BytesIO()
    small.save(written, "JPEG", quality=quality)
    return Stored(written.getvalue(), *small.size, small.histogram())


def _shrunk(image: Image.Image, short_side: int) -> Image.Image:
    """The image with its short side at most `short_side`."""
    scale = short_side / min(image.size)
    if scale >= 1:
        return image
    width, height = (max(round(length * scale), short_side) for length in image.size)
    return image.resize((width, height), Image.Resampling.BICUBIC)
