"""Colour changes: torchvision's definitions, another factor for every image."""

import torch

from parsec.data.augment import adjust, jitter
from parsec.data.vision import torchvision
from parsec.runtime.rng import ShardedRNG


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_adjustments_match_torchvision_per_image() -> None:
    images = torch.rand((5, 3, 6, 6), generator=seeded())
    factors = 0.5 + torch.rand((3, 5, 1, 1, 1), generator=seeded(1))
    functional = torchvision.transforms.functional
    for image, changed, (b, c, s) in zip(images, adjust(images, *factors), factors.flatten(1).T.tolist(), strict=True):
        image = functional.adjust_contrast(functional.adjust_brightness(image, b), c)
        torch.testing.assert_close(changed, functional.adjust_saturation(image, s), atol=1e-3, rtol=0)


def test_jitter_factors_vary_within_range() -> None:
    grey = torch.full((2000, 3, 2, 2), 0.4)
    values = jitter(grey, 0.25, ShardedRNG(seeded()))[:, 0, 0, 0] / 0.4
    assert 0.75 <= values.min() < 0.76
    assert 1.24 < values.max() <= 1.25 + 1e-6
    assert values.unique().numel() > 1900


def test_jitter_clips_values_and_preserves_input() -> None:
    images = torch.rand((50, 3, 4, 4), generator=seeded())
    before = images.clone()
    changed = jitter(images, 1.0, ShardedRNG(seeded()))
    assert 0 <= changed.min() <= changed.max() <= 1
    assert torch.equal(images, before)
