"""Named, reproducible RNG streams, and random numbers for the images of a batch that is split across ranks."""

from typing import Any

import torch
from torch import Tensor

from parsec.config.base import seed_of


class ShardedRNG:
    """Random numbers for the images of one shard of a batch.

    Every rank draws for the whole batch and takes its own numbers, so that the number of ranks changes no crop or mask.

    Args:
        generator: source of the numbers, which are made on its device; in the same state on all ranks.
        shard: index of this shard.
        shards: number of equal shards of a batch.
    """

    def __init__(self, generator: torch.Generator, shard: int = 0, shards: int = 1) -> None:
        self._generator, self._shard, self._shards = generator, shard, shards

    def with_generator(self, generator: torch.Generator) -> "ShardedRNG":
        """Random numbers of another generator for the same shard."""
        return ShardedRNG(generator, self._shard, self._shards)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers in [0, 1), float32; the last dimension of `shape` is that of the shard's images."""
        batch = (*shape[:-1], shape[-1] * self._shards)
        return self._own(torch.rand(batch, generator=self._generator, device=self._generator.device))

    def integers(self, high: int, *shape: int) -> Tensor:
        """Numbers in 0 … high − 1, int64; the last dimension of `shape` is that of the shard's images."""
        batch = (*shape[:-1], shape[-1] * self._shards)
        return self._own(torch.randint(high, batch, generator=self._generator, device=self._generator.device))

    def _own(self, batch: Tensor) -> Tensor:
        size = batch.shape[-1] // self._shards
        return batch.narrow(-1, self._shard * size, size)


def generator(seed: int, *names: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """New generator on `device` for the stream of this name."""
    return torch.Generator(device=device).manual_seed(seed_of(seed, *names))


class Streams:
    """Named generators of a run, created on first use, and their state."""

    def __init__(self, seed: int, device: torch.device | str) -> None:
        self._seed = seed
        self._devices = {"cpu": torch.device("cpu"), "device": torch.device(device)}
        self._generators: dict[str, dict[str, torch.Generator]] = {kind: {} for kind in self._devices}

    def cpu(self, name: str) -> torch.Generator:
        """Generator of this name for numbers on the CPU."""
        return self._stream("cpu", name)

    def device(self, name: str) -> torch.Generator:
        """Generator of this name for numbers on the run's device."""
        return self._stream("device", name)

    def sharded(self, name: str, shard: int = 0, shards: int = 1) -> ShardedRNG:
        """Random numbers on the device for the images of a shard; see `ShardedRNG`."""
        return ShardedRNG(self.device(name), shard, shards)

    def _stream(self, kind: str, name: str) -> torch.Generator:
        streams = self._generators[kind]
        # The kind is part of the name: streams of one name on the CPU and on the device are independent.
        if name not in streams:
            streams[name] = generator(self._seed, kind, name, device=self._devices[kind])
        return streams[name]

    def state_dict(self) -> dict[str, Any]:
        """States of all generators: `cpu` or `device` → name → uint8 tensor."""
        return {
            kind: {name: stream.get_state() for name, stream in streams.items()}
            for kind, streams in self._generators.items()
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue every stream where `state` was taken; streams that it lacks start from their seeds.

        Generators returned before stay the same objects.
        """
        for kind, streams in self._generators.items():
            for name in streams.keys() - state[kind].keys():
                streams[name].manual_seed(seed_of(self._seed, kind, name))
            for name, position in state[kind].items():
                self._stream(kind, name).set_state(position)
