"""Augmentation: each image its own change, exactly as the recipe says, the same bytes from the same generator."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from parsec.config.training import Augmentation
from parsec.data.augment import Augment, cutout
from parsec.data.dataset import DatasetInfo
from parsec.errors import DatasetError
from parsec.runtime.rng import ShardedRNG

MakeInfo = Callable[..., DatasetInfo]
PLAIN = {"crop": "none", "flip": False}
EVERYTHING = {"crop": "resized", "size": 6, "cutout": 3, "colour_jitter": 0.4}


def images(count: int, side: int = 8, seed: int = 0) -> Tensor:
    return torch.randint(0, 256, (count, 3, side, side), generator=seeded(seed), dtype=torch.uint8)


def seeded(seed: int = 0, device: str = "cpu") -> torch.Generator:
    return torch.Generator(device).manual_seed(seed)


def drawn(seed: int = 0) -> ShardedRNG:
    return ShardedRNG(seeded(seed))


def augment(info: DatasetInfo, memory_format: torch.memory_format = torch.contiguous_format, **values: Any) -> Augment:
    return Augment(Augmentation(**values), info, memory_format)


def normalised(pixels: Tensor, info: DatasetInfo) -> Tensor:
    mean, std = torch.tensor(info.mean).view(3, 1, 1), torch.tensor(info.std).view(3, 1, 1)
    return (pixels / 255 - mean) / std


def shifts(image: Tensor, padding: int, side: int) -> dict[tuple[int, int, bool], Tensor]:
    """Every window of one image in its black border, and its mirror image: the slow reference."""
    length = image.shape[-1]
    bordered = torch.zeros((3, length + 2 * padding, length + 2 * padding), dtype=image.dtype)
    bordered[:, padding : padding + length, padding : padding + length] = image
    crops = {}
    for top in range(length + 2 * padding - side + 1):
        for left in range(length + 2 * padding - side + 1):
            cut = bordered[:, top : top + side, left : left + side]
            crops[top, left, False], crops[top, left, True] = cut, cut.flip(-1)
    return crops


@pytest.mark.parametrize("size", [None, 5])
def test_pad_crop_is_a_padded_window(make_info: MakeInfo, size: int | None) -> None:
    info, batch = make_info(), images(40)
    result = augment(info, crop="pad", padding=2, size=size).train(batch, drawn())
    side, used = size or 8, set()
    assert result.shape == (40, 3, side, side)
    for image, changed in zip(batch, result, strict=True):
        places = shifts(image, 2, side)
        equal = [place for place, cut in places.items() if torch.allclose(normalised(cut, info), changed, atol=1e-5)]
        assert len(equal) == 1
        used.update(equal)
    assert len(used) > 20


def test_pad_crop_shifts_are_uniform(make_info: MakeInfo) -> None:
    lit = torch.zeros((9000, 3, 8, 8), dtype=torch.uint8)
    lit[:, :, 4, 4] = 255
    result = augment(make_info(), crop="pad", padding=1, flip=False).train(lit, drawn())
    place = result[:, 0].flatten(1).argmax(dim=1)
    counts = place.bincount(minlength=64).view(8, 8)
    assert counts[3:6, 3:6].sum() == 9000
    assert counts[3:6, 3:6].min() > 850


def test_flip_mirrors_half_of_the_images(make_info: MakeInfo) -> None:
    info, batch = make_info(), images(2000)
    result = augment(info, crop="none", flip=True).train(batch, drawn())
    plain = normalised(batch, info)
    same = torch.isclose(result, plain, atol=1e-5).all(dim=(1, 2, 3))
    mirrored = torch.isclose(result, plain.flip(-1), atol=1e-5).all(dim=(1, 2, 3))
    assert bool((same ^ mirrored).all())
    assert 0.45 < mirrored.double().mean() < 0.55


def test_nothing_asked_for_is_normalisation_alone(make_info: MakeInfo) -> None:
    info, batch = make_info(), images(4)
    nothing = augment(info, **PLAIN)
    torch.testing.assert_close(nothing.train(batch, drawn()), normalised(batch, info))
    assert torch.equal(nothing.train(batch, drawn()), nothing.evaluate(batch))


def test_evaluation_normalises_and_keeps_the_centre(make_info: MakeInfo) -> None:
    info, batch = make_info(), images(4)
    torch.testing.assert_close(augment(info, **EVERYTHING | {"size": None}).evaluate(batch), normalised(batch, info))
    for crop in ("pad", "none"):
        seen = augment(info, **EVERYTHING | {"crop": crop}).evaluate(batch)
        torch.testing.assert_close(seen, normalised(batch, info)[..., 1:7, 1:7])


def test_evaluation_resizes_and_centre_crops(make_info: MakeInfo) -> None:
    info, batch = make_info(64), images(4, side=64)
    resized = torch.nn.functional.interpolate(batch.double(), 36, mode="bilinear", antialias=True)
    seen = augment(info, crop="resized", size=32).evaluate(batch)
    torch.testing.assert_close(seen, normalised(resized.round(), info)[..., 2:34, 2:34].float(), atol=0.02, rtol=0)


def test_full_resized_crop_is_plain_interpolation(make_info: MakeInfo) -> None:
    info, batch = make_info(), images(4)
    same = augment(info, crop="resized", scale=1.0, flip=False)
    torch.testing.assert_close(same.train(batch, drawn()), normalised(batch, info), atol=1e-4, rtol=1e-4)
    smaller = augment(info, crop="resized", scale=1.0, flip=False, size=5).train(batch, drawn())
    resized = torch.nn.functional.interpolate(normalised(batch, info), 5, mode="bilinear", align_corners=False)
    torch.testing.assert_close(smaller, resized, atol=1e-4, rtol=1e-4)


def test_resized_crop_respects_area_and_ratio(make_info: MakeInfo) -> None:
    ramp = torch.arange(200, dtype=torch.uint8)
    batch = torch.zeros((500, 3, 200, 200), dtype=torch.uint8)
    batch[:, 0], batch[:, 1] = ramp[None, :], ramp[:, None]
    info = make_info(image_size=200)
    result = augment(info, crop="resized", scale=0.25, size=20).train(batch, drawn())
    raw = result * torch.tensor(info.std).view(3, 1, 1) * 255
    width = (raw[:, 0, 10, 15] - raw[:, 0, 10, 5]) * 20 / 10 / 200
    height = (raw[:, 1, 15, 10] - raw[:, 1, 5, 10]) * 20 / 10 / 200
    area, ratio = width.abs() * height, width.abs() / height
    assert bool((height > 0).all())
    assert 0.4 < (width < 0).double().mean() < 0.6
    assert 0.24 < area.min() < 0.3
    assert 0.9 < area.max() < 1.01
    assert 0.74 < ratio.min() < 0.8
    assert 1.25 < ratio.max() < 1.35


def test_cutout_is_one_clipped_square(make_info: MakeInfo) -> None:
    holes = cutout(torch.ones(4000, 3, 16, 16), 6, drawn()) == 0
    assert torch.equal(holes[:, 0], holes[:, 2])
    rows, columns = holes[:, 0].any(dim=2).sum(dim=1), holes[:, 0].any(dim=1).sum(dim=1)
    assert torch.equal(holes[:, 0].sum(dim=(1, 2)), rows * columns)
    assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (3, 6, 3, 6)
    # Of 16 centres, those in rows 0 to 2 and 14 and 15 lose 3, 2, 1 and 1, 2 rows.
    assert abs(rows.double().mean().item() - (6 - 9 / 16)) < 0.05


@pytest.mark.parametrize("side", [1, 5, 16])
def test_cutout_has_the_side_asked_for(side: int) -> None:
    holes = cutout(torch.ones(500, 3, 64, 64), side, drawn()) == 0
    assert int(holes[:, 0].sum(dim=(1, 2)).max()) == side * side


def test_cutout_is_zero_after_normalisation(make_info: MakeInfo) -> None:
    info, batch = make_info(), images(16)
    result = augment(info, **PLAIN, cutout=4).train(batch, drawn())
    plain = normalised(batch, info)
    changed = (result - plain).abs() > 1e-5
    assert bool(changed.flatten(1).any(dim=1).all())
    assert bool((result[changed] == 0).all())


def test_equal_generators_give_equal_bytes(make_info: MakeInfo) -> None:
    for crop in ("none", "pad", "resized"):
        change = augment(make_info(), **EVERYTHING | {"crop": crop})
        generator, again = seeded(7), seeded(7)
        assert torch.equal(change.train(images(16), ShardedRNG(generator)), change.train(images(16), ShardedRNG(again)))
        assert torch.equal(generator.get_state(), again.get_state())
        assert not torch.equal(change.train(images(16), ShardedRNG(generator)), change.train(images(16), drawn(7)))


def test_the_global_generator_is_left_alone(make_info: MakeInfo) -> None:
    before = torch.get_rng_state()
    augment(make_info(), **EVERYTHING).train(images(4), drawn())
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_memory_format_changes_only_the_layout(make_info: MakeInfo, memory_format: torch.memory_format) -> None:
    batch = images(4)
    for source in (batch, batch.contiguous(memory_format=torch.channels_last)):
        for crop in ("none", "pad", "resized"):
            values = EVERYTHING | {"crop": crop}
            change = augment(make_info(), memory_format, **values)
            for result in (change.train(source, drawn()), change.evaluate(source)):
                assert result.dtype == torch.float32
                assert result.is_contiguous(memory_format=memory_format)
            expected = augment(make_info(), **values).train(batch, drawn())
            torch.testing.assert_close(change.train(source, drawn()), expected)


def test_stored_images_are_not_changed(make_info: MakeInfo) -> None:
    batch = images(4)
    change = augment(make_info(), **EVERYTHING)
    change.train(batch, drawn())
    change.evaluate(batch)
    assert torch.equal(batch, images(4))


def test_size_seen_by_the_network(make_info: MakeInfo) -> None:
    assert augment(make_info(32)).image_size == 32
    assert augment(make_info(32), size=28).image_size == 28


def test_size_above_stored_size_is_refused(make_info: MakeInfo) -> None:
    with pytest.raises(DatasetError, match="size 9 is larger than the 8 pixels of made-up; lower it"):
        augment(make_info(), size=9)


def test_channel_without_contrast_is_refused(make_info: MakeInfo) -> None:
    with pytest.raises(DatasetError, match="cannot be normalised"):
        augment(make_info(std=(0.1, 0.0, 0.1)))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_no_wait_for_the_device(make_info: MakeInfo) -> None:
    batch, generator = images(16).cuda(), seeded(0, "cuda")
    for crop in ("none", "pad", "resized"):
        change = augment(make_info(), torch.channels_last, **EVERYTHING | {"crop": crop})
        change.train(batch, ShardedRNG(generator))
        torch.cuda.set_sync_debug_mode("error")
        try:
            change.train(batch, ShardedRNG(generator))
            change.evaluate(batch)
        finally:
            torch.cuda.set_sync_debug_mode("default")
