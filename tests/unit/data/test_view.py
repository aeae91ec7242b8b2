"""What evaluation sees: the same of an image for the test, predictions and the recorded preprocessing."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from parsec.config.datasets import ImageFolder, Jpeg, PrepareJob
from parsec.config.training import Augmentation
from parsec.data.augment import Augment, View, centre, evaluation_view
from parsec.data.dataset import open_split, read_info
from parsec.data.loader import open_images
from parsec.data.prepare import prepare
from parsec.data.sources.encoded import squared
from parsec.data.vision import torchvision

SIDE = 64
SIZES = [(96, 64), (64, 101), (150, 120), (50, 80)]
"""Width and height of the photographs; the last is smaller than what is stored."""


@pytest.mark.parametrize(
    ("side", "image_size", "resized", "view"),
    [
        (224, 256, True, (256, 224)),
        (32, 64, True, (36, 32)),
        (60, 64, True, (64, 60)),
        (64, 64, True, (64, 64)),
        (32, 64, False, (64, 32)),
        (32, 32, False, (32, 32)),
    ],
)
def test_view_of_a_network(side: int, image_size: int, resized: bool, view: tuple[int, int]) -> None:
    assert evaluation_view(side, image_size, resized) == view


def test_view_is_centred_and_never_enlarges() -> None:
    for image_size, side in product((32, 64, 256), range(8, 257)):
        if side <= image_size:
            view = evaluation_view(side, image_size, resized=True)
            assert side <= view.short_side <= image_size
            assert (view.short_side - side) % 2 == 0 or view.short_side == image_size


def photograph(size: tuple[int, int], phase: float) -> Image.Image:
    """Slow waves with a gradient along each side, so that a wrong scale or place shows and JPEG loses little."""
    x, y = np.meshgrid(*(np.linspace(0, 1, length) for length in size))
    waves = np.stack([np.sin(9 * x + phase) * y, np.cos(8 * y - phase) * x, x - y], axis=-1)
    return Image.fromarray((127.5 + 127 * waves).round().clip(0, 255).astype(np.uint8))


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One image folder, and the data sets prepared of it in both storage forms."""
    top = tmp_path_factory.mktemp("view")
    for split, name in product(("train", "val"), ("a", "b")):
        folder = top / "folder" / split / name
        folder.mkdir(parents=True)
        for i, size in enumerate(SIZES):
            photograph(size, i + (name == "b") / 2).save(folder / f"{i}.jpg", quality=95)
    for form, jpeg in (("pixels", None), ("jpeg", Jpeg(quality=95))):
        source = ImageFolder(source="image_folder", folder=str(top / "folder"), image_size=SIDE, jpeg=jpeg)
        prepare(PrepareJob(name="photos", dataset=source), top / form)
    return {name: top / name for name in ("folder", "pixels", "jpeg")}


def seen_in_test(data: Path, **settings: object) -> tuple[Tensor, View]:
    """Grey levels of the test images as the network is tested on them, and the view."""
    info = read_info(data)
    augment = Augment(Augmentation.model_validate(settings), info, torch.contiguous_format)
    images = open_images(open_split(data, "test"), "cpu", 0)
    values, _ = images.evaluate(torch.arange(len(images)), augment)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (info.mean, info.std))
    grey = (values * std + mean) * 255
    assert torch.allclose(grey, images.pixels(torch.arange(len(images)), augment.view).float(), atol=0.01)
    return grey, augment.view


def originals(folder: Path) -> Iterator[Image.Image]:
    for path in sorted(folder.glob("val/*/*.jpg")):
        with Image.open(path) as image:
            yield image.convert("RGB")


def stacked(images: Iterator[Image.Image]) -> Tensor:
    return torch.stack([torch.from_numpy(np.array(image)).permute(2, 0, 1) for image in images]).float()


@pytest.mark.parametrize("size", [None, 56, 45, 32])
@pytest.mark.parametrize("crop", ["pad", "resized", "none"])
def test_four_ways_to_an_image_agree(photographs: dict[str, Path], crop: str, size: int | None) -> None:
    pixels, view = seen_in_test(photographs["pixels"], crop=crop, size=size)
    jpeg, _ = seen_in_test(photographs["jpeg"], crop=crop, size=size)
    # As `predict` does it, and as the recorded preprocessing tells others to.
    predicted = centre(stacked(map(squared(view.short_side), originals(photographs["folder"]))), view.side)
    transforms = torchvision.transforms
    recorded = transforms.Compose([transforms.Resize(view.short_side), transforms.CenterCrop(view.side)])
    elsewhere = stacked(map(recorded, originals(photographs["folder"])))
    assert pixels.shape[-1] == (size or SIDE)
    for other in (jpeg, predicted, elsewhere):
        # A view of another scale, or half a pixel off, differs by more.
        assert (pixels - other).abs().mean() < 2
    if view.short_side == SIDE:
        torch.testing.assert_close(pixels, predicted, atol=0.01, rtol=0)
