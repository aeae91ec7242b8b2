"""Cropping and mirroring a batch, another window for every image, without a loop and without leaving the device.

Dimensions: B images, H = W side of the input, h = side of the output.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.runtime.draws import Draws

RATIOS = (3 / 4, 4 / 3)
"""Range of the aspect ratio of a resized crop, width over height (Szegedy et al., arXiv 1409.4842)."""
ATTEMPTS = 10
"""Boxes drawn for an image; the first that lies inside it is taken, the whole image if none does."""


def window(images: Tensor, top: Tensor, left: Tensor, side: int, mirrored: Tensor) -> Tensor:
    """Cut a window out of every image [B, 3, H, W] → [B, 3, h, h], channels last in memory, of the same type.

    `top` and `left` are int64 [B] and must keep the window inside; `mirrored` is bool [B].
    """
    count, channels, height, width = images.shape
    steps = torch.arange(side, device=images.device)
    rows = top[:, None] + steps
    columns = left[:, None] + torch.where(mirrored[:, None], steps.flip(0), steps)
    base = torch.arange(count, device=images.device)[:, None] * height
    # Rows of the flattened batch: several times faster on a CPU than indexing with three tensors.
    flat = ((base + rows) * width)[:, :, None] + columns[:, None, :]
    pixels = images.permute(0, 2, 3, 1).reshape(-1, channels).index_select(0, flat.reshape(-1))
    return pixels.view(count, side, side, channels).permute(0, 3, 1, 2)


def centre(images: Tensor, side: int) -> Tensor:
    """The middle [B, 3, h, h] of images [B, 3, H, W], where torchvision's `CenterCrop` has it; a view."""
    top, left = (round((length - side) / 2) for length in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


def resized_centre(images: Tensor, short_side: int, side: int) -> Tensor:
    """The middle [B, 3, h, h] of uint8 images [B, 3, H, H] that are first resized to `short_side`; a view if they fit.

    Bilinear with antialiasing and rounded to whole grey levels, as Pillow does it.
    """
    if images.shape[-1] != short_side:
        values = images.to(torch.float32)
        resized = F.interpolate(values, size=(short_side, short_side), mode="bilinear", antialias=True)
        images = resized.round_().to(torch.uint8)
    return centre(images, side)


def random_shift(images: Tensor, padding: int, side: int, mirrored: Tensor, draws: Draws) -> Tensor:
    """Surround uint8 images [B, 3, H, W] with a black border and cut a window of side h at a random place.

    Two draws: the row and the column of every window, uniform (DARTS recipe).
    """
    padded = F.pad(images, (padding,) * 4)
    places = padded.shape[-1] - side + 1
    top, left = draws.integers(places, 2, len(images))
    return window(padded, top, left, side, mirrored)


def _boxes(count: int, least: float, draws: Draws) -> tuple[Tensor, ...]:
    """Left, top, width and height of a random box for each image, [B], in shares of the side."""
    area, ratio, x, y = draws.uniform(4, ATTEMPTS, count)
    area = least + (1 - least) * area
    low, high = (math.log(bound) for bound in RATIOS)
    ratio = torch.exp(low + (high - low) * ratio)
    width, height = torch.sqrt(area * ratio), torch.sqrt(area / ratio)
    fits = (width <= 1) & (height <= 1)
    first = fits.to(torch.uint8).argmax(dim=0, keepdim=True)
    width, height, x, y = (drawn.gather(0, first).squeeze(0) for drawn in (width, height, x, y))
    whole = ~fits.any(dim=0)
    width, height = width.masked_fill(whole, 1.0), height.masked_fill(whole, 1.0)
    return x * (1 - width), y * (1 - height), width, height


def _grid(start: Tensor, extent: Tensor, side: int) -> Tensor:
    """Sample positions along one axis, [B, h], in [−1, 1]: the centres of h equal pieces of each box."""
    pieces = (torch.arange(side, device=start.device) + 0.5) / side
    return 2 * (start[:, None] + extent[:, None] * pieces) - 1


def random_resized(images: Tensor, least: float, side: int, mirrored: Tensor, draws: Draws) -> Tensor:
    """Cut a random box out of every float image [B, 3, H, H] and resize it, bilinear, to [B, 3, h, h].

    Area uniform in [least, 1] of the image, aspect ratio log-uniform in `RATIOS`. Positions are computed elementwise:
    the matrix product of `affine_grid` would lose digits under autocast and TF32.
    """
    left, top, width, height = _boxes(len(images), least, draws)
    left, width = torch.where(mirrored, left + width, left), torch.where(mirrored, -width, width)
    columns, rows = _grid(left, width, side), _grid(top, height, side)
    shape = (len(images), side, side)
    grid = torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
