"""The auxiliary head's window and structure, and the stems' maps."""

import pytest
import torch
from torch import nn

from parsec.errors import SettingsError
from parsec.network.skeleton import AuxiliaryHead, auxiliary_window, stem


def test_pooling_window_matches_published_sizes():
    assert auxiliary_window(8) == (5, 3)
    assert auxiliary_window(7) == (5, 2)


@pytest.mark.parametrize("side", range(2, 40))
def test_pooling_window_leaves_two_by_two(side):
    kernel, stride = auxiliary_window(side)
    assert nn.AvgPool2d(kernel, stride)(torch.zeros(1, 1, side, side)).shape[2:] == (2, 2)


@pytest.mark.parametrize("name", ["cifar", "imagenet"])
@pytest.mark.parametrize("side", [2, 3, 7, 8])
def test_auxiliary_head_gives_logits(name, side):
    assert AuxiliaryHead(name, 8, 5, side)(torch.randn(3, 8, side, side)).shape == (3, 5)


def test_tiny_map_fails_in_one_line():
    with pytest.raises(SettingsError, match=r"too small .*1 × 1.*auxiliary_weight") as error:
        auxiliary_window(1)
    assert "\n" not in str(error.value)


def test_parameters_of_the_published_auxiliary_heads():
    """768 → 100 … in DARTS: 1 × 1 and 2 × 2 convolutions without bias, batch norms, a linear layer."""
    cifar = 576 * 128 + 2 * 128 + 128 * 768 * 4 + 2 * 768 + 769 * 10
    imagenet = 768 * 128 + 2 * 128 + 128 * 768 * 4 + 769 * 1000
    assert sum(p.numel() for p in AuxiliaryHead("cifar", 576, 10, 8).parameters()) == cifar
    assert sum(p.numel() for p in AuxiliaryHead("imagenet", 768, 1000, 7).parameters()) == imagenet


@pytest.mark.parametrize("side", [32, 45, 224])
def test_stems_hand_over_two_maps(side):
    images = torch.randn(1, 3, side, side)
    before, last = stem("cifar", 4)(images)
    assert before.shape == last.shape == (1, 12, side, side)
    before, last = stem("imagenet", 4)(images)
    assert (before.shape[1], last.shape[1]) == (4, 4)
    assert (before.shape[2], last.shape[2]) == (-(-side // 4), -(-side // 8))
