"""Augmentation and normalisation of a batch of stored images: random changes in training, none in evaluation.

Everything happens on the batch's device for all images at once, with no wait of the host for the device. Random
numbers are drawn in a fixed order (flip, crop, colour, cutout), so equal generator states give equal bytes.

Dimensions: B images, H = W stored side, h = w side that the network sees.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.config.training import Augmentation
from parsec.data.dataset import DatasetInfo, Integers
from parsec.errors import DatasetError
from parsec.runtime.rng import ShardedRNG

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


def random_shift(images: Tensor, padding: int, side: int, mirrored: Tensor, rng: ShardedRNG) -> Tensor:
    """Surround uint8 images [B, 3, H, W] with a black border and cut a window of side h at a random place.

    Two draws: the row and the column of every window, uniform (DARTS recipe).
    """
    padded = F.pad(images, (padding,) * 4)
    offsets = padded.shape[-1] - side + 1
    top, left = rng.integers(offsets, 2, len(images))
    return window(padded, top, left, side, mirrored)


def _boxes(count: int, least: float, rng: ShardedRNG) -> tuple[Tensor, ...]:
    """Left, top, width and height of a random box for each image, [B], in shares of the side."""
    area, ratio, x, y = rng.uniform(4, ATTEMPTS, count)
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


def random_resized(images: Tensor, least: float, side: int, mirrored: Tensor, rng: ShardedRNG) -> Tensor:
    """Cut a random box out of every float image [B, 3, H, H] and resize it, bilinear, to [B, 3, h, h].

    Area uniform in [least, 1] of the image, aspect ratio log-uniform in `RATIOS`. Positions are computed elementwise:
    the matrix product of `affine_grid` would lose digits under autocast and TF32.
    """
    left, top, width, height = _boxes(len(images), least, rng)
    left, width = torch.where(mirrored, left + width, left), torch.where(mirrored, -width, width)
    columns, rows = _grid(left, width, side), _grid(top, height, side)
    shape = (len(images), side, side)
    grid = torch.stack((columns[:, None, :].expand(shape), rows[:, :, None].expand(shape)), dim=-1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


GREY = (0.299, 0.587, 0.114)
"""Share of red, green and blue in the lightness (ITU-R BT.601)."""


def _grey(images: Tensor) -> Tensor:
    red, green, blue = images.unbind(dim=1)
    return (GREY[0] * red + GREY[1] * green + GREY[2] * blue).unsqueeze(1)


def _blend(images: Tensor, other: Tensor | float, factor: Tensor) -> Tensor:
    """`factor` · images + (1 − `factor`) · other, kept in [0, 1]."""
    return (factor * images + (1 - factor) * other).clamp_(0.0, 1.0)


def adjust(images: Tensor, brightness: Tensor, contrast: Tensor, saturation: Tensor) -> Tensor:
    """Change float images [B, 3, H, W] by one factor each, [B, 1, 1, 1]; 1 leaves an image as it is.

    Brightness blends with black, contrast with the mean lightness of the image, saturation with its grey form.
    """
    images = _blend(images, 0.0, brightness)
    images = _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), contrast)
    return _blend(images, _grey(images), saturation)


def jitter(images: Tensor, strength: float, rng: ShardedRNG) -> Tensor:
    """Change images by factors uniform in [1 − strength, 1 + strength]; one draw of [3, B]."""
    uniform = rng.uniform(3, len(images))[..., None, None, None]
    return adjust(images, *(1 + strength * (2 * uniform - 1)))


SHARE = 224 / 256
"""Side of the square that is evaluated, as a share of the short side: 224 of 256 pixels, ImageNet's custom."""


class View(NamedTuple):
    """View of an image in evaluation: its short side resized to `short_side`, and of that the middle `side`.

    The test, validation, `predict` and what `export` records all go by it, however the images are stored.
    """

    short_side: int
    """Pixels that the short side of the image is brought to."""
    side: int
    """Pixels of the square that the network sees; at most `short_side`."""


def evaluation_view(side: int, image_size: int, resized: bool) -> View:
    """The view of a network that sees `side` pixels of images whose short side is stored as `image_size`.

    Evaluation has the scale of training: the middle of the pixels as they are stored where training cuts windows out
    of them, and the middle `SHARE` (224 of 256 pixels, 32 of 36) where training resizes boxes of the whole image
    (`resized`). No image is made larger than it is stored, so that a larger `side` sees more than `SHARE` of it.
    """
    # The same whole number of pixels on both sides: a middle that is half a pixel off shows in small images.
    margin = round(side * (1 / SHARE - 1) / 2)
    return View(min(side + 2 * margin, image_size) if resized else image_size, side)


def random_boxes(sizes: Integers, least: float, rng: ShardedRNG) -> Integers:
    """Boxes (left, top, width, height in pixels, [B, 4]) in images of `sizes` (width, height; [B, 2]).

    Area uniform in [least, 1] of the image, aspect ratio log-uniform in `RATIOS`, place uniform; the first of several
    draws that fits is taken, else the largest centred box of the nearest allowed ratio (Szegedy et al., 1409.4842).
    """
    # All attempts are drawn at once, so that an image takes a fixed number of random numbers, whichever attempt fits.
    area, ratio, x, y = rng.uniform(4, ATTEMPTS, len(sizes)).double()
    whole = torch.from_numpy(sizes).double()
    low, high = (math.log(bound) for bound in RATIOS)
    area = (least + (1 - least) * area) * whole.prod(1)
    ratio = torch.exp(low + (high - low) * ratio)
    drawn = torch.stack([(area * ratio).sqrt().round(), (area / ratio).sqrt().round()])
    fits = ((drawn > 0) & (drawn <= whole.T[:, None])).all(0)
    # The first attempt that fits; 0 where none does, whose boxes are replaced below.
    first = fits.to(torch.uint8).argmax(0, keepdim=True)
    size = torch.stack([side.gather(0, first).squeeze(0) for side in drawn], 1)
    position = torch.stack([share.gather(0, first).squeeze(0) for share in (x, y)], 1)
    corner = (position * (whole - size + 1)).floor()
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


FULL = 255.0


def cutout(images: Tensor, side: int, rng: ShardedRNG) -> Tensor:
    """Set a square of every image [B, 3, h, w] to zero (DeVries and Taylor, arXiv 1708.04552).

    Its centre is a random pixel, two draws of [B], so that a part of it may lie outside (DARTS recipe).
    """
    count, _, height, width = images.shape
    inside = []
    for length in (height, width):
        pixel = rng.integers(length, count)[:, None]
        offset = torch.arange(length, device=images.device) - (pixel - side // 2)
        inside.append((offset >= 0) & (offset < side))
    hole = inside[0][:, :, None] & inside[1][:, None, :]
    return images.masked_fill(hole.unsqueeze(1), 0.0)


class Augment:
    """The augmentation of one stage on one data set.

    Raises:
        DatasetError: a size larger than the stored images, or a channel without contrast.
    """

    def __init__(self, settings: Augmentation, info: DatasetInfo, memory_format: torch.memory_format) -> None:
        self.settings, self.info, self._memory_format = settings, info, memory_format
        self.image_size = settings.size or info.image_size
        """Side of the images that the network sees, pixels."""
        if self.image_size > info.image_size:
            raise DatasetError(
                f"augmentation.size {self.image_size} is larger than the {info.image_size} pixels of {info.name}; "
                "lower it, or prepare the data set with a larger image_size"
            )
        if min(info.std) <= 0:
            raise DatasetError(f"a channel of {info.name} has the same value everywhere and cannot be normalised")
        self.resizes = settings.crop == "resized"
        """Whether training images are random boxes resized, which a decoder can do better than a batch of pixels."""
        self.view = evaluation_view(self.image_size, info.image_size, self.resizes)
        """View of an image in evaluation."""
        self._moments: dict[torch.device, list[Tensor]] = {}

    def train(self, images: Tensor, rng: ShardedRNG, cropped: bool = False) -> Tensor:
        """Change uint8 images [B, 3, H, W] at random: normalised float32 [B, 3, h, w] in the memory format.

        Images that are `cropped` have the network's size already, and are neither cut nor mirrored any more.
        """
        settings = self.settings
        values = self._unit(images) if cropped else self._cropped(images, rng)
        if settings.colour_jitter:
            values = jitter(values, settings.colour_jitter, rng)
        values = self._normalised(values)
        if settings.cutout:
            values = cutout(values, settings.cutout, rng)
        return values.contiguous(memory_format=self._memory_format)

    def evaluate(self, images: Tensor, cropped: bool = False) -> Tensor:
        """The `view` of uint8 images [B, 3, H, W]: normalised float32 [B, 3, h, w] in the memory format.

        Images that are `cropped` are the view already.
        """
        values = self._unit(images if cropped else resized_centre(images, *self.view))
        return self._normalised(values).contiguous(memory_format=self._memory_format)

    def _cropped(self, images: Tensor, rng: ShardedRNG) -> Tensor:
        """Values in [0, 1] of the network's size, half of the images mirrored."""
        settings, side = self.settings, self.image_size
        if settings.flip:
            mirrored = rng.uniform(len(images)) < 0.5
        else:
            mirrored = torch.zeros(len(images), dtype=torch.bool, device=images.device)
        match settings.crop:
            case "pad":
                return self._unit(random_shift(images, settings.padding, side, mirrored, rng))
            case "resized":
                return random_resized(self._unit(images), settings.scale, side, mirrored, rng)
            case "none":
                origin = torch.zeros(len(images), dtype=torch.int64, device=images.device)
                return self._unit(window(centre(images, side), origin, origin, side, mirrored))

    def _unit(self, images: Tensor) -> Tensor:
        """Values in [0, 1]; a tensor of its own, which later steps may overwrite."""
        return images.to(torch.float32, memory_format=self._memory_format).div_(FULL)

    def _normalised(self, values: Tensor) -> Tensor:
        if values.device not in self._moments:
            # Copied once per device, because the host waits for a copy.
            self._moments[values.device] = [
                torch.tensor(moment, dtype=torch.float32, device=values.device).view(3, 1, 1)
                for moment in (self.info.mean, self.info.std)
            ]
        mean, std = self._moments[values.device]
        return values.sub_(mean).div_(std)
