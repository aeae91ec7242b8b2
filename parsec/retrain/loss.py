"""What retraining minimises (DARTS recipe)."""

import torch.nn.functional as F
from torch import Tensor


def training_loss(
    logits: Tensor, auxiliary: Tensor | None, labels: Tensor, label_smoothing: float, auxiliary_weight: float
) -> Tensor:
    """Cross entropy of the logits plus `auxiliary_weight` times that of the auxiliary head's; a mean over the batch.

    Args:
        logits: [B, classes], any floating type; the loss is computed in float32.
        auxiliary: the same of the auxiliary head; None leaves its term out.
        labels: [B], int64.
        label_smoothing: share of the target that is spread evenly over all classes, in both terms.
        auxiliary_weight: weight of the second term.
    """
    loss = F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)
    if auxiliary is None:
        return loss
    return loss + auxiliary_weight * F.cross_entropy(auxiliary.float(), labels, label_smoothing=label_smoothing)
