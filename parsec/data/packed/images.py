"""Batches of a packed part: boxes are decoded by threads, the next batch while the device works on this one."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from parsec.data.augment import Augment
from parsec.data.crop import centre
from parsec.data.packed.boxes import View, centre_squares, random_boxes
from parsec.data.packed.decode import decode
from parsec.data.packed.part import PackedPart
from parsec.runtime.device import to_device
from parsec.runtime.draws import Draws
from parsec.runtime.randomness import generator

Integers = NDArray[np.int64]
Pending = list[Future[Tensor]]


class PackedImages:
    """The images of one part; see `loader.Images`, whose place it takes.

    Box and mirroring of an image depend on seed, step and place in the batch alone, so that batches can be decoded
    ahead, and a run that is resumed sees what it would have seen.
    """

    def __init__(self, part: PackedPart, device: torch.device | str, seed: int) -> None:
        self._part, self._seed = part, seed
        self._device = torch.device(device)
        self._labels = torch.from_numpy(part.labels).to(self._device)
        self._pool = ThreadPoolExecutor(torch.get_num_threads(), thread_name_prefix="decode")
        self._ahead: dict[tuple[int, bytes], Pending] = {}

    def __len__(self) -> int:
        return len(self._part)

    def train(self, indices: Tensor, augment: Augment, draws: Draws, step: int) -> tuple[Tensor, Tensor]:
        """Augmented training images [B, 3, h, w] and labels [B] on the device; `indices` are int64 [B] on the CPU."""
        key = (step, indices.numpy().tobytes())
        pending = self._ahead.pop(key, None) or self._begin(indices, augment, draws, step)
        self._ahead = {other: begun for other, begun in self._ahead.items() if other[0] > step}
        return augment.train(self._collected(pending), draws, augment.resizes), self._labels_of(indices)

    def ahead(self, indices: Tensor, augment: Augment, draws: Draws, step: int) -> None:
        """Begin to decode what `train` will be asked for with the same arguments."""
        self._ahead[step, indices.numpy().tobytes()] = self._begin(indices, augment, draws, step)

    def evaluate(self, indices: Tensor, augment: Augment) -> tuple[Tensor, Tensor]:
        """Images as the network is tested on them, and labels."""
        return augment.evaluate(self.pixels(indices, augment.view), cropped=True), self._labels_of(indices)

    def pixels(self, indices: Tensor, view: View) -> Tensor:
        """What evaluation sees of images, before normalisation: uint8 [B, 3, side, side] on the device."""
        chosen = indices.numpy()
        squares = self._decode(chosen, centre_squares(self._part.sizes(chosen)), view.short_side)
        return centre(self._collected(squares), view.side)

    def _begin(self, indices: Tensor, augment: Augment, draws: Draws, step: int) -> Pending:
        chosen = indices.numpy()
        sizes = self._part.sizes(chosen)
        if not augment.resizes:
            # The centre square that would be stored as pixels, so that both storage forms train on the same windows.
            return self._decode(chosen, centre_squares(sizes), augment.stored_size)
        own = draws.of(generator(self._seed, "boxes", step))
        boxes = random_boxes(sizes, augment.least_area, own)
        mirrored = own.uniform(len(sizes)) < (0.5 if augment.flips else 0.0)
        return self._decode(chosen, boxes, augment.image_size, mirrored.tolist())

    def _decode(self, chosen: Integers, boxes: Integers, side: int, mirrored: Sequence[bool] | None = None) -> Pending:
        jpegs = [self._part.jpeg(int(position)) for position in chosen]
        images = zip(jpegs, self._part.sizes(chosen), boxes, mirrored or [False] * len(chosen), strict=True)
        return [self._pool.submit(decode, jpeg, size, box, side, flip) for jpeg, size, box, flip in images]

    def _collected(self, pending: Pending) -> Tensor:
        """Uint8 [B, 3, h, w] on the device, channels last in memory."""
        pixels = torch.stack([future.result() for future in pending])
        return to_device(pixels, self._device).permute(0, 3, 1, 2)

    def _labels_of(self, indices: Tensor) -> Tensor:
        return self._labels.index_select(0, to_device(indices, self._device))
