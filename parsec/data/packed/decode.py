"""Decoding the box of a JPEG: at the smallest scale that keeps enough pixels, resized in one step to a square."""

import numpy as np
import simplejpeg
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from parsec.errors import DatasetError

FACTOR = 2
"""Halvings are the scales at which decoding is faster; others cost more than they save."""


def decode(
    jpeg: NDArray[np.uint8], size: NDArray[np.int64], box: NDArray[np.int64], side: int, mirrored: bool = False
) -> torch.Tensor:
    """The box (left, top, width, height) of an image of `size` (width, height), uint8 [side, side, 3].

    Bilinear with antialiasing, as torchvision's resized crops of Pillow images.

    Raises:
        DatasetError: the JPEG is damaged.
    """
    share = min(1.0, side / int(box[2:].min()))
    width, height = (int(np.ceil(length * share)) for length in size)
    try:
        pixels = simplejpeg.decode_jpeg(jpeg, "RGB", min_width=width, min_height=height, min_factor=FACTOR)
    except ValueError as error:
        raise DatasetError(f"a stored JPEG is damaged ({error}); `prepare` makes the data set anew") from error
    scale = np.array([pixels.shape[1], pixels.shape[0]]) / size
    left, top = np.floor(box[:2] * scale).astype(int)
    right, bottom = np.maximum(np.rint((box[:2] + box[2:]) * scale).astype(int), (left + 1, top + 1))
    cut = torch.from_numpy(pixels[top:bottom, left:right]).permute(2, 0, 1)[None]
    resized = F.interpolate(cut, size=(side, side), mode="bilinear", antialias=True)
    square = resized[0].permute(1, 2, 0)
    return square.flip(1) if mirrored else square
