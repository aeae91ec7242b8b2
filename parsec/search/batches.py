"""The batches that a search learns from and judges by; drawing one does not wait for the device."""

from collections.abc import Iterator

import torch
from torch import Tensor

from parsec.data.order import epoch_order
from parsec.runtime.randomness import Streams, generator
from parsec.search.task import SearchTask

Batch = tuple[Tensor, Tensor]
"""Images [B, 3, H, W] as the network sees them and labels [B], on the device."""


class Batches:
    """Augmented batches of both halves of the training set."""

    def __init__(self, task: SearchTask, streams: Streams) -> None:
        self._task, self._streams = task, streams
        self._size = task.job.settings.batch_size
        self.per_epoch = len(task.train) // self._size
        self._order = (-1, torch.empty(0))

    def training(self, step: int) -> Batch:
        """The training batch of a step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.per_epoch)
        if self._order[0] != epoch:
            drawn = epoch_order(len(self._task.train), self._size, self._task.seed, "training order", epoch)
            self._order = (epoch, drawn)
        draws = self._streams.draws("training augmentation")
        batch = self._task.train.train(self._order[1][index], self._task.augment, draws, step)
        if index + 1 < self.per_epoch:
            self._task.train.ahead(self._order[1][index + 1], self._task.augment, draws, step + 1)
        return batch

    def validation(self, step: int) -> Batch:
        """A validation batch drawn anew, as DARTS does, whatever the size of the validation half."""
        order = torch.randperm(len(self._task.validation), generator=self._streams.cpu("validation order"))
        draws = self._streams.draws("validation augmentation")
        return self._task.validation.train(order[: self._size], self._task.augment, draws, step)

    def all_validation(self) -> Iterator[Batch]:
        """Every validation image once, not augmented.

        The images are shuffled, because those of a folder lie class by class, and the statistics of a batch of one
        class are not those that v was trained with; for the same reason no batch is smaller than in training.
        """
        count = len(self._task.validation)
        order = torch.randperm(count, generator=generator(self._task.seed, "accuracy order"))
        for indices in order.tensor_split(count // self._size):
            yield self._task.validation.evaluate(indices, self._task.augment)
