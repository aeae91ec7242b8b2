"""What one training from scratch is given."""

from dataclasses import dataclass

import torch

from parsec.data.augment import Augment
from parsec.data.loader import AnyImages
from parsec.runtime.distributed import ALONE, Ranks
from parsec.settings.compute import Compute
from parsec.settings.retrain import RetrainStage
from parsec.space.genotype import Genotype


@dataclass(frozen=True)
class RetrainTask:
    """One training: the architecture, its settings, and the images that it learns from."""

    genotype: Genotype
    settings: RetrainStage
    compute: Compute
    images: AnyImages
    augment: Augment
    classes: int
    seed: int
    device: torch.device
    ranks: Ranks = ALONE
    """The processes that share every batch out."""
