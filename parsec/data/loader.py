"""Batches of uint8 images on the device: from the device's own memory if the part fits, else from the memory maps."""

import numpy as np
import torch

from parsec.data.augment import Augment
from parsec.data.crop import resized_centre
from parsec.data.dataset import AnyPart
from parsec.data.packed.boxes import View
from parsec.data.packed.images import PackedImages
from parsec.data.part import Part
from parsec.runtime.device import to_device
from parsec.runtime.draws import Draws

RESIDENT_BYTES = 4 * 2**30
Batch = tuple[torch.Tensor, torch.Tensor]
COPIED_AT_ONCE = 8192
"""Images read between disk and device when a part becomes resident; bounds the memory of the copy."""


def open_images(part: AnyPart, device: torch.device | str, seed: int) -> "AnyImages":
    """The images of a part, however it is stored; `seed` is that of the boxes cut out of packed images."""
    return Images(part, device) if isinstance(part, Part) else PackedImages(part, device, seed)


class Images:
    """The images of one part, ready to be gathered into batches."""

    def __init__(self, part: Part, device: torch.device | str, resident_bytes: int = RESIDENT_BYTES) -> None:
        self._part = part
        self._device = torch.device(device)
        self._labels = torch.from_numpy(part.labels).to(self._device)
        size = len(part) * int(np.prod(part.images[0].shape[1:])) if len(part) else 0
        self._resident = self._load() if size <= resident_bytes else None

    def __len__(self) -> int:
        return len(self._part)

    @property
    def resident(self) -> bool:
        """Whether the images lie in the device's memory."""
        return self._resident is not None

    def train(self, indices: torch.Tensor, augment: Augment, draws: Draws, step: int) -> Batch:
        """Augmented training images [B, 3, h, w] and labels [B] on the device; `indices` are int64 [B] on the CPU."""
        pixels, labels = self.gather(indices)
        return augment.train(pixels, draws), labels

    def ahead(self, indices: torch.Tensor, augment: Augment, draws: Draws, step: int) -> None:
        """Nothing: a batch that is memory already costs nothing to prepare."""

    def evaluate(self, indices: torch.Tensor, augment: Augment) -> Batch:
        """Images as the network is tested on them, and labels."""
        pixels, labels = self.gather(indices)
        return augment.evaluate(pixels), labels

    def pixels(self, indices: torch.Tensor, view: View) -> torch.Tensor:
        """What evaluation sees of images, before normalisation: uint8 [B, 3, side, side] on the device."""
        return resized_centre(self.gather(indices)[0], *view)

    def gather(self, indices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Images uint8 [B, 3, H, W] (channels last in memory) and labels int64 [B] on the device.

        `indices` are int64 [B] on the CPU.
        """
        chosen = to_device(indices, self._device)
        if self._resident is not None:
            pixels = self._resident.index_select(0, chosen)
        else:
            pixels = to_device(torch.from_numpy(self._part.read(indices.numpy())), self._device)
        return pixels.permute(0, 3, 1, 2), self._labels.index_select(0, chosen)

    def _load(self) -> torch.Tensor:
        shape = (len(self._part), *self._part.images[0].shape[1:])
        store = torch.empty(shape, dtype=torch.uint8, device=self._device)
        for start in range(0, len(self._part), COPIED_AT_ONCE):
            positions = np.arange(start, min(start + COPIED_AT_ONCE, len(self._part)))
            store[start : start + COPIED_AT_ONCE] = torch.from_numpy(self._part.read(positions))
        return store


AnyImages = Images | PackedImages
