"""What a search method is given, and what it must offer: the interface that all methods share."""

from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from parsec.data.augment import Augment
from parsec.data.loader import AnyImages
from parsec.prior.distribution import Prior
from parsec.runtime.distributed import ALONE, Ranks
from parsec.runtime.trainer import Trainer
from parsec.settings.jobs import SearchJob
from parsec.space.spaces import Architecture

History = list[tuple[int, int, Tensor]]
"""(epoch, step, logits of π) at the start and after every epoch."""


@dataclass(frozen=True)
class SearchTask:
    """One search: its settings, its two halves of the training set, and the π that it starts from."""

    job: SearchJob
    seed: int
    train: AnyImages
    validation: AnyImages
    augment: Augment
    classes: int
    prior: Prior
    device: torch.device
    ranks: Ranks = ALONE
    """The processes that share the children of a step out."""


class Method(Trainer, Protocol):
    """A search method: a resumable trainer that ends with a distribution and an architecture."""

    history: History
    selection: ClassVar[str]
    """How the architecture is chosen, and what the method saw of the data."""
    passes: ClassVar[tuple[int, int]]
    """Passes of minibatches that a step takes in the warm-up and after it; PARSEC's by each of its K children."""

    def __init__(self, task: SearchTask) -> None: ...

    @property
    def prior(self) -> Prior:
        """The distribution that is learnt."""

    @property
    def children(self) -> int:
        """Children evaluated so far; a pass of a mixture of primitives counts as one."""

    @property
    def child_images(self) -> int:
        """Forward passes of single images through children so far; `search.budget` says what a mixture counts for."""

    def genotype(self) -> Architecture:
        """The architecture that the method selects."""

    def accuracy(self, child: Architecture) -> float:
        """Accuracy in [0, 1] of a child with shared weights on the validation half."""
