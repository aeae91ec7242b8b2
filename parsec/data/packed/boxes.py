"""Which box of an image is cut out and resized: a random one in training, one rule for all that evaluates."""

import math
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from parsec.data.crop import ATTEMPTS, RATIOS
from parsec.runtime.draws import Draws

Integers = NDArray[np.int64]
SHARE = 224 / 256
"""Side of the square that is evaluated, as a share of the short side: 224 of 256 pixels, ImageNet's custom."""


class View(NamedTuple):
    """What evaluation sees of an image: its short side resized to `short_side`, and of that the middle `side`.

    The test, validation, `predict` and what `export` records all go by it, however the images are stored.
    """

    short_side: int
    """Pixels that the short side of the image is brought to."""
    side: int
    """Pixels of the square that the network sees; at most `short_side`."""


def evaluation_view(side: int, image_size: int, resized: bool) -> View:
    """The view of a network that sees `side` pixels of images whose short side is stored as `image_size`.

    Evaluation has the scale of training. Where training cuts windows out of stored pixels (`crop: pad` and `none`),
    it sees their middle as it is. Where training resizes boxes of the whole image (`crop: resized`), the image is
    made so small that the middle `SHARE` of it is seen: 224 of 256 pixels, 32 of 36. It is never made larger than it
    is stored, so that a `side` above `SHARE` of `image_size` sees more of it, and `image_size` the whole centre square.
    """
    # The same whole number of pixels on both sides: a middle that is half a pixel off shows in small images.
    margin = round(side * (1 / SHARE - 1) / 2)
    return View(min(side + 2 * margin, image_size) if resized else image_size, side)


def random_boxes(sizes: Integers, least: float, draws: Draws) -> Integers:
    """Boxes (left, top, width, height in pixels, [B, 4]) in images of `sizes` (width, height; [B, 2]).

    Area uniform in [least, 1] of the image, aspect ratio log-uniform in `RATIOS`, place uniform; the first of several
    draws that fits is taken, else the largest centred box of the nearest allowed ratio (Szegedy et al., 1409.4842).
    """
    area, ratio, x, y = draws.uniform(4, ATTEMPTS, len(sizes)).double()
    whole = torch.from_numpy(sizes).double()
    low, high = (math.log(bound) for bound in RATIOS)
    area = (least + (1 - least) * area) * whole.prod(1)
    ratio = torch.exp(low + (high - low) * ratio)
    drawn = torch.stack([(area * ratio).sqrt().round(), (area / ratio).sqrt().round()])
    fits = ((drawn > 0) & (drawn <= whole.T[:, None])).all(0)
    first = fits.to(torch.uint8).argmax(0, keepdim=True)
    size = torch.stack([side.gather(0, first).squeeze(0) for side in drawn], 1)
    place = torch.stack([share.gather(0, first).squeeze(0) for share in (x, y)], 1)
    corner = (place * (whole - size + 1)).floor()
    boxes = torch.cat([corner, size], 1).long().numpy()
    none = ~fits.any(0).numpy()
    boxes[none] = _centred(sizes[none])
    return boxes


def _centred(sizes: Integers) -> Integers:
    """The largest centred boxes whose ratio is allowed."""
    width, height = sizes.T
    kept = np.stack([np.minimum(width, np.rint(height * RATIOS[1])), np.minimum(height, np.rint(width / RATIOS[0]))], 1)
    return np.concatenate([(sizes - kept) // 2, kept], 1).astype(np.int64)


def centre_squares(sizes: Integers) -> Integers:
    """The largest centred squares; [B, 4] as `random_boxes`."""
    side = sizes.min(1, keepdims=True)
    return np.concatenate([(sizes - side) // 2, side, side], 1)
