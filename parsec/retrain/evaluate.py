"""Error of a trained network on images that it has not learnt from."""

from statistics import fmean
from typing import NamedTuple

import torch

from parsec.data.augment import Augment
from parsec.data.loader import AnyImages
from parsec.data.order import evaluation_batches
from parsec.network.fixed import FixedNetwork
from parsec.runtime.device import Precision, autocast

TOP = 5


class Errors(NamedTuple):
    """Errors in percent."""

    images: int
    top1_error: float
    top5_error: float | None
    """Share of images whose class is not among the five likeliest; None where there are no more than five classes."""
    balanced_error: float
    """Mean over classes of the top-1 error of each; it is the top-1 error where classes have equally many images."""
    class_images: list[int]
    """Images of each class, [classes]."""
    class_errors: list[float | None]
    """Top-1 error of each class, [classes]; None where it has no image, and is left out of the mean."""


def evaluate(
    network: FixedNetwork,
    images: AnyImages,
    augment: Augment,
    batch_size: int,
    device: torch.device,
    precision: Precision,
) -> Errors:
    """Test `network` in evaluation mode on every image once; it is left in that mode."""
    network.eval()
    # Images, those whose class is the likeliest and those where it is among the likeliest, per class: read once, at
    # the end, so that the host never waits for a batch.
    counts = torch.zeros(3, 1, dtype=torch.int64, device=device)
    for indices in evaluation_batches(len(images), batch_size):
        pixels, labels = images.evaluate(indices, augment)
        with torch.no_grad(), autocast(device, precision):
            logits, _ = network(pixels)
        classes = logits.shape[1]
        hits = logits.float().topk(min(TOP, classes)).indices == labels[:, None]
        of_class = labels[:, None] == torch.arange(classes, device=device)
        kinds = (of_class, of_class & hits[:, :1], of_class & hits.any(1, keepdim=True))
        counts = counts + torch.stack([kind.sum(0) for kind in kinds])
    return _errors(len(images), *counts.tolist())


def _errors(total: int, images: list[int], first: list[int], among: list[int]) -> Errors:
    """Errors from counts per class."""
    by_class = [_error(hit, count) if count else None for hit, count in zip(first, images, strict=True)]
    return Errors(
        images=total,
        top1_error=_error(sum(first), total),
        top5_error=_error(sum(among), total) if len(images) > TOP else None,
        balanced_error=fmean(error for error in by_class if error is not None),
        class_images=images,
        class_errors=by_class,
    )


def _error(correct: int, count: int) -> float:
    return 100.0 * (count - correct) / count
