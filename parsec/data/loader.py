"""Minibatches of a split in a reproducible order, decoded and augmented ahead of their use."""

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.data.augment import Augment, View, centre, centre_squares, random_boxes, resized_centre
from parsec.data.dataset import AnySplit, Integers, PackedSplit, Pixels, Split
from parsec.errors import DatasetError
from parsec.runtime.device import to_device
from parsec.runtime.rng import ShardedRNG, generator


def epoch_order(count: int, batch_size: int, seed: int, stream: str, epoch: int) -> Tensor:
    """Positions of one epoch's batches, int64 [steps, batch_size] on the CPU; the images left over are dropped.

    Raises:
        DatasetError: fewer images than one batch.
    """
    if count < batch_size:
        raise DatasetError(f"{count} images ({stream}) are fewer than one batch of {batch_size}; lower batch_size")
    steps = count // batch_size
    order = torch.randperm(count, generator=generator(seed, stream, epoch))
    return order[: steps * batch_size].view(steps, batch_size)


def evaluation_batches(count: int, batch_size: int) -> list[Tensor]:
    """Positions 0 … count − 1 in order, in batches of int64; the last may be smaller."""
    return list(torch.split(torch.arange(count), batch_size)) if count else []


FACTOR = 2
"""Halvings are the scales at which decoding is faster; others cost more than they save."""


def decode(jpeg: Pixels, size: Integers, box: Integers, side: int, mirrored: bool = False) -> Tensor:
    """The box (left, top, width, height) of an image of `size` (width, height), uint8 [side, side, 3].

    Bilinear with antialiasing, as torchvision's resized crops of Pillow images.

    Raises:
        DatasetError: the JPEG is damaged.
    """
    # Here, because only packed data sets need it.
    import simplejpeg

    share = min(1.0, side / int(box[2:].min()))
    width, height = (int(np.ceil(length * share)) for length in size)
    try:
        pixels = simplejpeg.decode_jpeg(jpeg, "RGB", min_width=width, min_height=height, min_factor=FACTOR)
    except ValueError as error:
        raise DatasetError(f"a stored JPEG is damaged ({error}); `prepare` makes the data set again") from error
    scale = np.array([pixels.shape[1], pixels.shape[0]]) / size
    left, top = np.floor(box[:2] * scale).astype(int)
    right, bottom = np.maximum(np.rint((box[:2] + box[2:]) * scale).astype(int), (left + 1, top + 1))
    cut = torch.from_numpy(pixels[top:bottom, left:right]).permute(2, 0, 1)[None]
    resized = F.interpolate(cut, size=(side, side), mode="bilinear", antialias=True)
    square = resized[0].permute(1, 2, 0)
    return square.flip(1) if mirrored else square


Pending = list[Future[Tensor]]


class PackedImages:
    """The images of one split, stored as JPEGs; the methods are those of `Images`.

    Box and flip of an image depend only on seed, step and position in the batch, so that batches can be decoded ahead,
    and a resumed run sees the same images as one that was not interrupted.
    """

    def __init__(self, split: PackedSplit, device: torch.device | str, seed: int) -> None:
        self._split, self._seed = split, seed
        self._device = torch.device(device)
        self._labels = torch.from_numpy(split.labels).to(self._device)
        self._pool = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="decode")
        self._ahead: dict[tuple[int, bytes], Pending] = {}

    def __len__(self) -> int:
        return len(self._split)

    def train(self, indices: Tensor, augment: Augment, rng: ShardedRNG, step: int) -> tuple[Tensor, Tensor]:
        """Augmented training images [B, 3, h, w] and labels [B] on the device; `indices` are int64 [B] on the CPU."""
        key = (step, indices.numpy().tobytes())
        pending = self._ahead.pop(key, None) or self._begin(indices, augment, rng, step)
        self._ahead = {other: begun for other, begun in self._ahead.items() if other[0] > step}
        return augment.train(self._collected(pending), rng, augment.resizes), self._labels_of(indices)

    def ahead(self, indices: Tensor, augment: Augment, rng: ShardedRNG, step: int) -> None:
        """Begin to decode what `train` will be asked for with the same arguments."""
        self._ahead[step, indices.numpy().tobytes()] = self._begin(indices, augment, rng, step)

    def evaluate(self, indices: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        """Images as the network is tested on them, and labels."""
        return augment.evaluate(self.pixels(indices, augment.view), cropped=True), self._labels_of(indices)

    def pixels(self, indices: Tensor, view: View) -> Tensor:
        """Images as evaluation sees them, before normalisation: uint8 [B, 3, side, side] on the device."""
        positions = indices.numpy()
        squares = self._decode(positions, centre_squares(self._split.sizes(positions)), view.short_side)
        return centre(self._collected(squares), view.side)

    def _begin(self, indices: Tensor, augment: Augment, rng: ShardedRNG, step: int) -> Pending:
        positions = indices.numpy()
        sizes = self._split.sizes(positions)
        if not augment.resizes:
            # The centre square that would be stored as pixels, so that both storage forms train on the same windows.
            return self._decode(positions, centre_squares(sizes), augment.info.image_size)
        own = rng.with_generator(generator(self._seed, "boxes", step))
        boxes = random_boxes(sizes, augment.settings.scale, own)
        mirrored = own.uniform(len(sizes)) < (0.5 if augment.settings.flip else 0.0)
        return self._decode(positions, boxes, augment.image_size, mirrored.tolist())

    def _decode(
        self, positions: Integers, boxes: Integers, side: int, mirrored: Sequence[bool] | None = None
    ) -> Pending:
        jpegs = [self._split.jpeg(int(position)) for position in positions]
        images = zip(jpegs, self._split.sizes(positions), boxes, mirrored or [False] * len(positions), strict=True)
        return [self._pool.submit(decode, jpeg, size, box, side, flip) for jpeg, size, box, flip in images]

    def _collected(self, pending: Pending) -> Tensor:
        """Uint8 [B, 3, h, w] on the device, channels last in memory."""
        pixels = torch.stack([future.result() for future in pending])
        return to_device(pixels, self._device).permute(0, 3, 1, 2)

    def _labels_of(self, indices: Tensor) -> Tensor:
        return self._labels.index_select(0, to_device(indices, self._device))


RESIDENT_BYTES = 4 * 2**30
"""Largest size of a split that is held on the device; a larger one is read from its memory maps."""
COPIED_AT_ONCE = 8192
"""Images read between disk and device when a split becomes resident; bounds the memory of the copy."""


def open_images(split: AnySplit, device: torch.device | str, seed: int) -> "AnyImages":
    """The images of a split, however it is stored; `seed` is that of the boxes cut out of packed images."""
    return Images(split, device) if isinstance(split, Split) else PackedImages(split, device, seed)


class Images:
    """The images of one split, ready to be gathered into batches."""

    def __init__(self, split: Split, device: torch.device | str, resident_bytes: int = RESIDENT_BYTES) -> None:
        self._split = split
        self._device = torch.device(device)
        self._labels = torch.from_numpy(split.labels).to(self._device)
        shape = (len(split), *split.images[0].shape[1:])
        self._resident = self._load(shape) if math.prod(shape) <= resident_bytes else None

    def __len__(self) -> int:
        return len(self._split)

    def train(self, indices: Tensor, augment: Augment, rng: ShardedRNG, step: int) -> tuple[Tensor, Tensor]:
        """Augmented training images [B, 3, h, w] and labels [B] on the device; `indices` are int64 [B] on the CPU."""
        pixels, labels = self.gather(indices)
        return augment.train(pixels, rng), labels

    def ahead(self, indices: Tensor, augment: Augment, rng: ShardedRNG, step: int) -> None:
        """Do nothing: a batch in memory needs no preparation."""

    def evaluate(self, indices: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        """Images as the network is tested on them, and labels."""
        pixels, labels = self.gather(indices)
        return augment.evaluate(pixels), labels

    def pixels(self, indices: Tensor, view: View) -> Tensor:
        """Images as evaluation sees them, before normalisation: uint8 [B, 3, side, side] on the device."""
        return resized_centre(self.gather(indices)[0], *view)

    def gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Images uint8 [B, 3, H, W] (channels last in memory) and labels int64 [B] on the device.

        `indices` are int64 [B] on the CPU.
        """
        positions = to_device(indices, self._device)
        if self._resident is not None:
            pixels = self._resident.index_select(0, positions)
        else:
            pixels = to_device(torch.from_numpy(self._split.read(indices.numpy())), self._device)
        return pixels.permute(0, 3, 1, 2), self._labels.index_select(0, positions)

    def _load(self, shape: tuple[int, ...]) -> Tensor:
        store = torch.empty(shape, dtype=torch.uint8, device=self._device)
        for start in range(0, len(self._split), COPIED_AT_ONCE):
            positions = np.arange(start, min(start + COPIED_AT_ONCE, len(self._split)))
            store[start : start + COPIED_AT_ONCE] = torch.from_numpy(self._split.read(positions))
        return store


AnyImages = Images | PackedImages
