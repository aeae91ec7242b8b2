"""The order of images: a permutation, another every epoch, the same every time."""

import pytest
import torch

from parsec.data.loader import epoch_order, evaluation_batches
from parsec.errors import DatasetError


def test_images_never_repeat_remainder_dropped() -> None:
    order = epoch_order(103, 10, seed=0, stream="train", epoch=1)
    assert order.shape == (10, 10)
    assert order.dtype == torch.int64
    assert order.unique().numel() == 100
    assert 0 <= int(order.min()) <= int(order.max()) < 103


def test_full_batches_form_a_permutation() -> None:
    assert epoch_order(60, 20, seed=3, stream="train", epoch=2).flatten().sort().values.tolist() == list(range(60))


def test_reproducible() -> None:
    assert torch.equal(epoch_order(60, 20, 3, "train", 2), epoch_order(60, 20, 3, "train", 2))


@pytest.mark.parametrize("other", [(4, "train", 2), (3, "validation", 2), (3, "train", 3)])
def test_seed_stream_epoch_change_order(other: tuple[int, str, int]) -> None:
    assert not torch.equal(epoch_order(60, 20, 3, "train", 2), epoch_order(60, 20, *other))


def test_too_few_images() -> None:
    with pytest.raises(DatasetError, match=r"19 images \(train\) are fewer than one batch of 20; lower batch_size"):
        epoch_order(19, 20, 0, "train", 1)


def test_evaluation_visits_everything_in_order() -> None:
    batches = evaluation_batches(25, 10)
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert torch.cat(batches).tolist() == list(range(25))
