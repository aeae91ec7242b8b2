"""In which order images are visited: a fresh permutation every epoch, the same one after every resume."""

import torch

from parsec.errors import DatasetError
from parsec.runtime.randomness import generator


def epoch_order(count: int, batch_size: int, seed: int, stream: str, epoch: int) -> torch.Tensor:
    """Positions of one epoch's batches, int64 [steps, batch_size] on the CPU; the images left over are dropped.

    Raises:
        DatasetError: fewer images than one batch.
    """
    if count < batch_size:
        raise DatasetError(f"{count} images ({stream}) are fewer than one batch of {batch_size}; lower batch_size")
    steps = count // batch_size
    order = torch.randperm(count, generator=generator(seed, stream, epoch))
    return order[: steps * batch_size].view(steps, batch_size)


def evaluation_batches(count: int, batch_size: int) -> list[torch.Tensor]:
    """Positions 0 … count − 1 in order, in batches of int64; the last may be smaller."""
    return list(torch.split(torch.arange(count), batch_size)) if count else []
