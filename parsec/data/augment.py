"""What is done to a batch of stored images before the network sees it: random changes in training, none in evaluation.

Everything happens on the batch's device for all images at once, with no wait of the host for the device. Draws are
made in a fixed order (mirror, crop, colour, cutout), so equal generator states give equal bytes.

Dimensions: B images, H = W stored side, h = w side that the network sees.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from parsec.data import crop
from parsec.data.colour import jitter
from parsec.data.dataset import DatasetInfo
from parsec.data.packed.boxes import evaluation_view
from parsec.errors import DatasetError
from parsec.runtime.draws import Draws
from parsec.settings.training import Augmentation

FULL = 255.0


class _Moments(NamedTuple):
    """Mean and standard deviation of values in [0, 1], [3, 1, 1] on a device."""

    mean: Tensor
    std: Tensor


def cutout(images: Tensor, side: int, draws: Draws) -> Tensor:
    """Set a square of every image [B, 3, h, w] to zero (DeVries and Taylor, arXiv 1708.04552).

    Its centre is a random pixel, two draws of [B], so that a part of it may lie outside (DARTS recipe).
    """
    count, _, height, width = images.shape
    inside = []
    for length in (height, width):
        pixel = draws.integers(length, count)[:, None]
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
        self._settings = settings
        self._memory_format = memory_format
        self._info = info
        self._moments: dict[torch.device, _Moments] = {}
        self._size = settings.size or info.image_size
        if self._size > info.image_size:
            raise DatasetError(
                f"augmentation.size {self._size} is larger than the {info.image_size} pixels of {info.name}; "
                "lower it, or prepare the data set with a larger image_size"
            )
        if min(info.std) <= 0:
            raise DatasetError(f"a channel of {info.name} has the same value everywhere and cannot be normalised")
        self.view = evaluation_view(self._size, info.image_size, self.resizes)
        """What evaluation sees of an image."""

    @property
    def image_size(self) -> int:
        """Side of the images that the network sees, pixels."""
        return self._size

    @property
    def stored_size(self) -> int:
        """Short side of the images as they are stored, pixels."""
        return self._info.image_size

    @property
    def resizes(self) -> bool:
        """Whether training images are random boxes resized, which a decoder can do better than a batch of pixels."""
        return self._settings.crop == "resized"

    @property
    def least_area(self) -> float:
        """Smallest area of such a box, share of the image."""
        return self._settings.scale

    @property
    def flips(self) -> bool:
        """Whether half of the training images are mirrored."""
        return self._settings.flip

    def train(self, images: Tensor, draws: Draws, cropped: bool = False) -> Tensor:
        """Change uint8 images [B, 3, H, W] at random: normalised float32 [B, 3, h, w] in the memory format.

        Images that are `cropped` have the network's size already, and are neither cut nor mirrored any more.
        """
        settings = self._settings
        values = self._unit(images) if cropped else self._cropped(images, self._mirrored(images, draws), draws)
        if settings.colour_jitter:
            values = jitter(values, settings.colour_jitter, draws)
        values = self._normalised(values)
        if settings.cutout:
            values = cutout(values, settings.cutout, draws)
        return values.contiguous(memory_format=self._memory_format)

    def evaluate(self, images: Tensor, cropped: bool = False) -> Tensor:
        """The `view` of uint8 images [B, 3, H, W]: normalised float32 [B, 3, h, w] in the memory format.

        Images that are `cropped` are the view already.
        """
        values = self._unit(images if cropped else crop.resized_centre(images, *self.view))
        return self._normalised(values).contiguous(memory_format=self._memory_format)

    def _mirrored(self, images: Tensor, draws: Draws) -> Tensor:
        if not self._settings.flip:
            return torch.zeros(len(images), dtype=torch.bool, device=images.device)
        return draws.uniform(len(images)) < 0.5

    def _cropped(self, images: Tensor, mirrored: Tensor, draws: Draws) -> Tensor:
        settings, side = self._settings, self._size
        match settings.crop:
            case "pad":
                return self._unit(crop.random_shift(images, settings.padding, side, mirrored, draws))
            case "resized":
                return crop.random_resized(self._unit(images), settings.scale, side, mirrored, draws)
            case "none":
                origin = torch.zeros(len(images), dtype=torch.int64, device=images.device)
                return self._unit(crop.window(crop.centre(images, side), origin, origin, side, mirrored))

    def _unit(self, images: Tensor) -> Tensor:
        """Values in [0, 1]; a tensor of its own, which later steps may overwrite."""
        return images.to(torch.float32, memory_format=self._memory_format).div_(FULL)

    def _normalised(self, values: Tensor) -> Tensor:
        mean, std = self._moments_on(values.device)
        return values.sub_(mean).div_(std)

    def _moments_on(self, device: torch.device) -> _Moments:
        if device not in self._moments:
            mean, std = (torch.tensor(m, dtype=torch.float32, device=device) for m in (self._info.mean, self._info.std))
            self._moments[device] = _Moments(mean.view(3, 1, 1), std.view(3, 1, 1))
        return self._moments[device]
