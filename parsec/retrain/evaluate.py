"""Error of a trained network on images that it has not learnt from."""

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
    first, among = torch.zeros(2, dtype=torch.int64, device=device).unbind()
    classes = 0
    for indices in evaluation_batches(len(images), batch_size):
        pixels, labels = images.evaluate(indices, augment)
        with torch.no_grad(), autocast(device, precision):
            logits, _ = network(pixels)
        classes = logits.shape[1]
        hits = logits.float().topk(min(TOP, classes)).indices == labels[:, None]
        first += hits[:, 0].sum()
        among += hits.sum()
    return Errors(len(images), _error(first, len(images)), _error(among, len(images)) if classes > TOP else None)


def _error(correct: torch.Tensor, count: int) -> float:
    return 100.0 * (count - int(correct)) / count
