"""Image folders: listing, decoding, and one clear line for whatever is wrong with one."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parsec.data import shards
from parsec.data.dataset import open_part, read_info
from parsec.data.prepare import prepare
from parsec.data.sources.image_folder import open_folder
from parsec.errors import DatasetError
from parsec.settings.datasets import DigitsFolder, ImageFolder
from parsec.settings.jobs import PrepareJob


def job(folder: Path, side: int = 32) -> PrepareJob:
    return PrepareJob(name="photos", dataset=ImageFolder(source="image_folder", folder=str(folder), image_size=side))


def test_whole_chain(image_folder: Path, tmp_path: Path) -> None:
    prepare(job(image_folder), tmp_path / "out")
    info = read_info(tmp_path / "out")
    assert info.classes == ("cat", "dog")
    assert info.counts == {"train": 12, "validation": 12, "test": 6}
    assert info.image_size == 32
    assert info.stand_in is None
    assert np.bincount(open_part(tmp_path / "out", "validation").labels).tolist() == [6, 6]


def test_short_side_is_resized_and_the_centre_kept(tmp_path: Path) -> None:
    stripes = np.zeros((32, 96, 3), dtype=np.uint8)
    stripes[:, 32:64] = (10, 20, 30)
    for part in ("train", "val"):
        (tmp_path / part / "only").mkdir(parents=True)
        Image.fromarray(stripes).save(tmp_path / part / "only" / "wide.png")
        Image.fromarray(stripes.transpose(1, 0, 2)).resize((64, 192), Image.Resampling.NEAREST).save(
            tmp_path / part / "only" / "high.png"
        )
    images = open_folder(tmp_path, 32).training.read(np.arange(2))
    assert images.shape == (2, 32, 32, 3)
    assert np.array_equal(images[1], np.broadcast_to(np.uint8([10, 20, 30]), (32, 32, 3)))
    assert np.array_equal(images[0, 4:-4], np.broadcast_to(np.uint8([10, 20, 30]), (24, 32, 3)))


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    for part in ("train", "val"):
        (tmp_path / part / "only").mkdir(parents=True)
        Image.new("RGB", (32, 32), (204, 204, 204)).convert(mode).save(tmp_path / part / "only" / "one.tiff")
    pixels = open_folder(tmp_path, 32).training.read(np.arange(1))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - 204).max() <= 1


def test_corrupt_image_is_named(image_folder: Path, tmp_path: Path) -> None:
    broken = image_folder / "train" / "dog" / "03.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"cannot decode the image .*train/dog/03\.png: .*replace or remove"):
        prepare(job(image_folder), tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_text_with_an_image_name_is_named(image_folder: Path) -> None:
    (image_folder / "val" / "cat" / "00.png").write_text("not an image")
    with pytest.raises(DatasetError, match=r"val/cat/00\.png"):
        open_folder(image_folder, 32).test.read(np.arange(1))


@pytest.mark.parametrize("part", ["train", "val"])
def test_missing_part_is_named(image_folder: Path, part: str) -> None:
    (image_folder / part).rename(image_folder / "away")
    with pytest.raises(DatasetError, match=f"no folder .*/{part}; an image folder holds"):
        open_folder(image_folder, 32)


@pytest.mark.parametrize(("part", "other"), [("train", "val"), ("val", "train")])
def test_classes_that_differ_are_named(image_folder: Path, part: str, other: str) -> None:
    (image_folder / part / "newt").mkdir()
    Image.new("RGB", (32, 32)).save(image_folder / part / "newt" / "0.png")
    with pytest.raises(DatasetError, match=f"{other} lacks the class folder newt"):
        open_folder(image_folder, 32)


def test_class_without_images_is_named(image_folder: Path) -> None:
    (image_folder / "train" / "newt").mkdir()
    with pytest.raises(DatasetError, match=r"train is not an image folder: .*newt"):
        open_folder(image_folder, 32)


def test_progress_is_told(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(shards, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(shards, "CHUNK", 4)
    monkeypatch.setattr(logging.getLogger("parsec"), "propagate", True)
    caplog.set_level(logging.INFO, logger="parsec")
    prepare(job(image_folder), tmp_path / "out")
    assert any(line.startswith("train: 8 of 12 images, ") for line in caplog.messages)


def test_digits_stand_in_goes_through_an_image_folder(tmp_path: Path) -> None:
    settings = DigitsFolder(source="digits_folder", image_size=32)
    (tmp_path / "folder" / "train" / "left over").mkdir(parents=True)
    prepare(PrepareJob(name="stand-in", dataset=settings), tmp_path)
    assert len(list((tmp_path / "folder" / "train").glob("[0-9]/*.png"))) == 1437
    assert len(list((tmp_path / "folder" / "val").glob("[0-9]/*.png"))) == 360
    info = read_info(tmp_path)
    assert info.classes == tuple("0123456789")
    assert info.stand_in is not None
    assert "stand in for ImageNet" in info.stand_in
    test = open_part(tmp_path, "test")
    with Image.open(min((tmp_path / "folder" / "val" / "0").iterdir())) as png:
        assert np.array_equal(test.read(np.arange(1))[0], np.asarray(png))


@pytest.fixture
def imagenette(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Real JPEGs as an image folder: three images of each of ten classes for training, one for testing."""
    parquet = pytest.importorskip("pyarrow.parquet")
    for part, source, count in (("train", "train", 3), ("val", "val", 1)):
        path = shared_data(f"imagenette224-{source}.parquet")
        rows = parquet.read_table(path, columns=["image_jpeg", "wnid"]).to_pandas().groupby("wnid").head(count)
        for i, row in enumerate(rows.itertuples()):
            file = tmp_path / "jpegs" / part / row.wnid / f"{i}.JPEG"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(row.image_jpeg)
    return tmp_path / "jpegs"


def test_real_jpegs(imagenette: Path, tmp_path: Path) -> None:
    settings = ImageFolder(source="image_folder", folder=str(imagenette), image_size=64, validation_fraction=0.34)
    prepare(PrepareJob(name="imagenette", dataset=settings), tmp_path / "out")
    info = read_info(tmp_path / "out")
    assert len(info.classes) == 10
    assert info.counts == {"train": 19, "validation": 11, "test": 10}
    assert all(0.3 < mean < 0.6 for mean in info.mean)
    assert all(0.2 < std < 0.4 for std in info.std)


def test_a_part_of_the_classes(tmp_path: Path) -> None:
    names = [f"class{number}" for number in range(6)]
    for label, name in enumerate(names):
        for part in ("train", "val"):
            (tmp_path / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (40 * label, 0, 0)).save(tmp_path / part / name / "one.png")
    few, more = (open_folder(tmp_path, 32, count, seed=3) for count in (3, 4))
    assert len(few.classes) == 3
    assert set(few.classes) < set(more.classes) < set(names)
    assert list(few.classes) == sorted(few.classes)
    for source in (few.training, few.test):
        reds = source.read(np.arange(3))[:, 0, 0, 0]
        assert [names[red // 40] for red in reds.tolist()] == [few.classes[label] for label in source.labels]
    assert open_folder(tmp_path, 32).classes == tuple(names)
    assert open_folder(tmp_path, 32, 3, seed=4).classes != few.classes
    with pytest.raises(DatasetError, match="has 6 classes, and 7 were asked for; lower `classes`"):
        open_folder(tmp_path, 32, 7)
