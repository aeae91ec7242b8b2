"""Data-parallel training: every rank has a part of each batch, and all do the step of the whole one.

Batch norm takes the statistics of a rank's own part, as data-parallel training of these networks does throughout
(DARTS' evaluation code on ImageNet); those for testing are the first rank's.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from parsec.errors import SettingsError
from parsec.runtime.distributed import Ranks


def part_size(batch_size: int, ranks: Ranks) -> int:
    """Images of a batch that every rank trains on.

    Raises:
        SettingsError: the batch cannot be shared out in equal parts of two images or more.
    """
    size, left_over = divmod(batch_size, ranks.count)
    if left_over or (size < 2 and ranks.count > 1):
        raise SettingsError(
            f"batch_size: {batch_size} images cannot be shared out in equal parts among {ranks.count} ranks; "
            "ask for another number of ranks, or change batch_size"
        )
    return size


def averaged(parameters: Sequence[Tensor], loss: Tensor, correct: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor]:
    """Turn the gradients of all parts' mean losses into that of the batch's, in place, by one sum over the ranks.

    One sum of all numbers after the backward pass: these networks have few weights for their work, so sending some of
    them earlier would gain little, and layers that a genotype leaves unused and compiled graphs need no exceptions.

    Returns the mean loss and the number of images classified correctly, of the whole batch, the same on all ranks.
    """
    if ranks.count == 1:
        return loss, correct
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    numbers = torch.cat([*(g.reshape(-1) for g in gradients), loss.reshape(1), correct.reshape(1).to(loss.dtype)])
    ranks.add_up(numbers)
    numbers[:-1] /= ranks.count
    *means, mean_loss, all_correct = numbers.split([*(g.numel() for g in gradients), 1, 1])
    torch._foreach_copy_(gradients, [mean.view_as(g) for mean, g in zip(means, gradients, strict=True)])
    return mean_loss.squeeze(), all_correct.squeeze().round().to(correct.dtype)
