"""The training loss, term by term."""

import pytest
import torch

from parsec.retrain.trainer import training_loss

LOGITS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 1.0, 3.0]])
OTHER = torch.tensor([[0.1, 0.2, 0.3], [1.0, -1.0, 0.0]])
LABELS = torch.tensor([0, 1])


def by_hand(logits, smoothing):
    log_p = logits.log_softmax(1)
    target = torch.eye(3)[LABELS] * (1 - smoothing) + smoothing / 3
    return float(-(target * log_p).sum(1).mean())


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_label_smoothing_spreads_its_share_over_all_classes(smoothing):
    assert float(training_loss(LOGITS, None, LABELS, smoothing, 0.4)) == pytest.approx(by_hand(LOGITS, smoothing))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_auxiliary_loss_enters_with_its_weight(smoothing):
    expected = by_hand(LOGITS, smoothing) + 0.4 * by_hand(OTHER, smoothing)
    assert float(training_loss(LOGITS, OTHER, LABELS, smoothing, 0.4)) == pytest.approx(expected)


def test_loss_of_bfloat16_logits_is_float32():
    assert training_loss(LOGITS.bfloat16(), OTHER.bfloat16(), LABELS, 0.1, 0.4).dtype == torch.float32
