"""How shared weights rank a fixed sample of architectures: the `ranking.parquet` of every search.

The file holds no accuracies of a benchmark: no search reads them. `parsec.report.ranking` compares it with them.
"""

import json
import math
from typing import Any

import pandas as pd
import torch
from scipy.stats import kendalltau

from parsec.config.search import SearchStage
from parsec.network.spaces import child_cost
from parsec.prior.distribution import Prior
from parsec.runtime.rng import generator
from parsec.search.base import Batch, SearchTask, SearchTrainer, operations_of
from parsec.search.executors.base import summed_cross_entropy
from parsec.space.factors import WEIGHTLESS
from parsec.space.spaces import Architecture, SearchSpace

WARMUP, END, ALONE = "warmup", "end", "alone"
"""When v was taken: after the warm-up, after the search; `alone`: every architecture has weights of its own."""


def ranked_architectures(settings: SearchStage, space: SearchSpace) -> list[Architecture]:
    """The sample: draws of the uniform π, the same in every search of the space."""
    uniform = Prior(space=space)
    drawn = uniform.sample(settings.ranking.architectures, generator(0, "ranked architectures"))
    sampled: list[Architecture] = uniform.children(drawn).genotypes
    return sampled


def rank(trainer: SearchTrainer) -> pd.DataFrame:
    """Evaluate the sample with the weights that a finished search saved; afterwards v is that of its end again.

    Returns one row per moment and architecture: `moment`, `forward_images` (passed forward by then), `architecture`
    (JSON), `loss` (mean cross-entropy on validation images without augmentation, batch statistics), `accuracy` in
    [0, 1], `parameters` in the network of the stage, and `weightless`, edges whose operation has no weights. Methods
    without shared weights have no rows, unless `random.ranked` asks for trainings of the sample.
    """
    task, settings = trainer.task, trainer.settings
    flat, rows = trainer.supernet.weights.flat, list[dict[str, Any]]()
    sample = ranked_architectures(settings, trainer.prior.space)
    if trainer.ranked_accuracies is not None:
        # Trained alone, one after another: the accuracy of each was measured when its training ended. A search whose
        # time is over has trained only the first ones.
        measured = [(math.nan, accuracy) for accuracy in trainer.ranked_accuracies]
        rows += _rows(ALONE, trainer.forward_images, sample[: len(measured)], measured, task)
    if trainer.shares_weights:
        batches = _batches(trainer)
        ends = flat.detach().clone()
        moments = {WARMUP: (trainer.warmup_weights, trainer.warmup_images), END: (ends, trainer.forward_images)}
        for moment, (weights, images) in moments.items():
            if weights is not None:
                flat.detach().copy_(weights)
                measured = [_evaluate(trainer, architecture, batches) for architecture in sample]
                rows += _rows(moment, images, sample, measured, task)
        flat.detach().copy_(ends)
    columns = ["moment", "forward_images", "architecture", "loss", "accuracy", "parameters", "weightless"]
    return pd.DataFrame(rows, columns=columns)


def _batches(trainer: SearchTrainer) -> list[Batch]:
    """The first whole batches of the shuffled validation split that hold `ranking.images`; at least one."""
    size, wanted = trainer.settings.batch_size, trainer.settings.ranking.images
    validation = trainer.task.validation
    order = torch.randperm(len(validation), generator=generator(trainer.task.seed, "ranking order"))
    count = max(1, min(wanted, len(validation)) // size)
    return [validation.evaluate(order[size * k : size * (k + 1)], trainer.task.augment) for k in range(count)]


@torch.no_grad()
def _evaluate(trainer: SearchTrainer, architecture: Architecture, batches: list[Batch]) -> tuple[float, float]:
    """Mean loss and accuracy of an architecture with the present v."""
    losses, correct = [], []
    for images, labels in batches:
        logits = trainer.logits(architecture, images)
        losses.append(summed_cross_entropy(logits, labels))
        correct.append((logits.argmax(1) == labels).sum())
    count = sum(len(labels) for _, labels in batches)
    return float(torch.stack(losses).sum()) / count, float(torch.stack(correct).sum()) / count


def _rows(
    moment: str, images: int, sample: list[Architecture], measured: list[tuple[float, float]], task: SearchTask
) -> list[dict[str, Any]]:
    settings, space, size = task.job.settings, task.prior.space, task.augment.image_size
    return [
        {
            "moment": moment,
            "forward_images": images,
            "architecture": json.dumps(architecture.as_dict(), sort_keys=True),
            "loss": loss,
            "accuracy": accuracy,
            "parameters": child_cost(architecture, settings.network, task.classes, size).parameters,
            "weightless": sum(name in WEIGHTLESS for name in operations_of(architecture, space)),
        }
        for architecture, (loss, accuracy) in zip(sample, measured, strict=True)
    ]


def correlations(rows: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """By moment: Kendall's τ of −loss (alone: accuracy) with parameters and with edges without weights."""
    by_moment: dict[str, dict[str, float | None]] = {}
    for moment, group in rows.groupby("moment", sort=False):
        scores = group["accuracy"] if moment == ALONE else -group["loss"]
        by_moment[str(moment)] = {name: tau(scores, group[name]) for name in ("parameters", "weightless")}
    return by_moment


def tau(scores: "pd.Series[float]", others: "pd.Series[float]") -> float | None:
    """Kendall's τ-b; None where one of the two is constant."""
    if len(scores) < 2:
        return None
    statistic = float(kendalltau(scores, others).statistic)
    return None if math.isnan(statistic) else statistic
