"""Random numbers for the images of a batch, of which a rank that trains on a part of it takes its own.

Every rank draws for the whole batch, so that how many there are changes no image, crop or mask.
"""

from typing import Any

import torch
from torch import Tensor

from parsec.runtime.seeds import seed_of


class ShardedRNG:
    """ShardedRNG of `generator`, on its device, for part number `part` of the `parts` equal ones of a batch."""

    def __init__(self, generator: torch.Generator, part: int = 0, parts: int = 1) -> None:
        self._generator, self._part, self._parts = generator, part, parts

    def of(self, generator: torch.Generator) -> "ShardedRNG":
        """ShardedRNG of another generator for the same part of a batch."""
        return ShardedRNG(generator, self._part, self._parts)

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


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on `device` for the stream of this name."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, *names))


class Streams:
    """The named generators of one run, made on first use, and their state."""

    def __init__(self, seed: int, device: torch.device | str) -> None:
        self._seed = seed
        self._places = {"cpu": torch.device("cpu"), "device": torch.device(device)}
        self._generators: dict[str, dict[str, torch.Generator]] = {place: {} for place in self._places}

    def cpu(self, name: str) -> torch.Generator:
        """The generator of this name whose draws are made on the CPU."""
        return self._stream("cpu", name)

    def device(self, name: str) -> torch.Generator:
        """The generator of this name whose draws are made on the run's device."""
        return self._stream("device", name)

    def draws(self, name: str, part: int = 0, parts: int = 1) -> ShardedRNG:
        """Numbers for the images of a batch, of the device's generator of this name; see `ShardedRNG`."""
        return ShardedRNG(self.device(name), part, parts)

    def _stream(self, place: str, name: str) -> torch.Generator:
        made = self._generators[place]
        if name not in made:
            made[name] = generator(self._seed, place, name, device=self._places[place])
        return made[name]

    def state_dict(self) -> dict[str, Any]:
        """Where every generator stands: place → name → uint8 tensor."""
        return {
            place: {name: stream.get_state() for name, stream in made.items()}
            for place, made in self._generators.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue every stream where `state` was taken; streams that it does not know start anew.

        Generators handed out before stay the same objects.
        """
        for place, made in self._generators.items():
            for name in made.keys() - state[place].keys():
                made[name].manual_seed(seed_of(self._seed, place, name))
            for name, position in state[place].items():
                self._stream(place, name).set_state(position)
