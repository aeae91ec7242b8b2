"""Random numbers for the images of a batch, of which a rank that trains on a part of it takes its own.

Every rank draws for the whole batch, so that how many there are changes no image, crop or mask.
"""

import torch
from torch import Tensor


class Draws:
    """Draws of `generator`, on its device, for part number `part` of the `parts` equal ones of a batch."""

    def __init__(self, generator: torch.Generator, part: int = 0, parts: int = 1) -> None:
        self._generator, self._part, self._parts = generator, part, parts

    def of(self, generator: torch.Generator) -> "Draws":
        """Draws of another generator for the same part of a batch."""
        return Draws(generator, self._part, self._parts)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), float32; the last dimension of `shape` counts this part's images."""
        whole = (*shape[:-1], shape[-1] * self._parts)
        return self._mine(torch.rand(whole, generator=self._generator, device=self._generator.device))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Numbers 0 … high − 1, int64; the last dimension of `shape` counts this part's images."""
        whole = (*shape[:-1], shape[-1] * self._parts)
        return self._mine(torch.randint(high, whole, generator=self._generator, device=self._generator.device))

    def _mine(self, drawn: Tensor) -> Tensor:
        size = drawn.shape[-1] // self._parts
        return drawn.narrow(-1, self._part * size, size)
