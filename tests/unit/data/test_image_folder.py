"""Image folders: listing, decoding, and one clear line for whatever is wrong with one."""

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parsec.config.datasets import DigitsFolder, ImageFolder, PrepareJob
from parsec.data import shards
from parsec.data.dataset import open_split, read_info
from parsec.data.prepare import prepare
from parsec.data.sources import listing
from parsec.data.sources.image_folder import open_folder
from parsec.data.sources.listing import listing_fingerprint
from parsec.data.vision import torchvision
from parsec.errors import DatasetError


def job(folder: Path, side: int = 32) -> PrepareJob:
    return PrepareJob(name="photos", dataset=ImageFolder(source="image_folder", folder=str(folder), image_size=side))


def test_whole_chain(image_folder: Path, tmp_path: Path) -> None:
    prepare(job(image_folder), tmp_path / "out")
    info = read_info(tmp_path / "out")
    assert info.classes == ("cat", "dog")
    assert info.counts == {"train": 12, "validation": 12, "test": 6}
    assert info.image_size == 32
    assert info.stand_in is None
    assert np.bincount(open_split(tmp_path / "out", "validation").labels).tolist() == [6, 6]


def test_short_side_resized_then_centre_cropped(tmp_path: Path) -> None:
    stripes = np.zeros((32, 96, 3), dtype=np.uint8)
    stripes[:, 32:64] = (10, 20, 30)
    for split in ("train/only", "train/other", "val/only", "val/other"):
        (tmp_path / split).mkdir(parents=True)
        Image.fromarray(stripes).save(tmp_path / split / "wide.png")
        Image.fromarray(stripes.transpose(1, 0, 2)).resize((64, 192), Image.Resampling.NEAREST).save(
            tmp_path / split / "high.png"
        )
    images = open_folder(tmp_path, 32).training.read(np.arange(2))
    assert images.shape == (2, 32, 32, 3)
    assert np.array_equal(images[1], np.broadcast_to(np.uint8([10, 20, 30]), (32, 32, 3)))
    assert np.array_equal(images[0, 4:-4], np.broadcast_to(np.uint8([10, 20, 30]), (24, 32, 3)))


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P"])
def test_every_colour_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    for split in ("train/only", "train/other", "val/only", "val/other"):
        (tmp_path / split).mkdir(parents=True)
        Image.new("RGB", (32, 32), (204, 204, 204)).convert(mode).save(tmp_path / split / "one.tiff")
    pixels = open_folder(tmp_path, 32).training.read(np.arange(1))
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - 204).max() <= 1


def test_corrupt_image_is_named(image_folder: Path, tmp_path: Path) -> None:
    broken = image_folder / "train" / "dog" / "03.png"
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"cannot decode the image .*train/dog/03\.png: .*replace or remove"):
        prepare(job(image_folder), tmp_path / "out")
    assert not (tmp_path / "out" / "dataset.json").exists()


def test_fake_image_is_named_in_error(image_folder: Path) -> None:
    (image_folder / "val" / "cat" / "00.png").write_text("not an image")
    with pytest.raises(DatasetError, match=r"val/cat/00\.png"):
        open_folder(image_folder, 32).test.read(np.arange(1))


@pytest.mark.parametrize("split", ["train", "val"])
def test_missing_split_is_named(image_folder: Path, split: str) -> None:
    (image_folder / split).rename(image_folder / "away")
    with pytest.raises(DatasetError, match=f"no folder .*/{split}; an image folder holds"):
        open_folder(image_folder, 32)


@pytest.mark.parametrize(("split", "other"), [("train", "val"), ("val", "train")])
def test_classes_that_differ_are_named(image_folder: Path, split: str, other: str) -> None:
    (image_folder / split / "newt").mkdir()
    Image.new("RGB", (32, 32)).save(image_folder / split / "newt" / "0.png")
    with pytest.raises(DatasetError, match=f"{other} lacks the class folder newt"):
        open_folder(image_folder, 32)


def test_class_without_images_is_named(image_folder: Path) -> None:
    (image_folder / "train" / "newt").mkdir()
    with pytest.raises(DatasetError, match=r"train/newt: holds no image \(\.jpg.*fill or remove it"):
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


def test_digits_stand_in_uses_image_folder(tmp_path: Path) -> None:
    settings = DigitsFolder(source="digits_folder", image_size=32)
    prepare(PrepareJob(name="stand-in", dataset=settings), tmp_path)
    assert len(list((tmp_path / "folder" / "train").glob("[0-9]/*.png"))) == 1437
    assert len(list((tmp_path / "folder" / "val").glob("[0-9]/*.png"))) == 360
    info = read_info(tmp_path)
    assert info.classes == tuple("0123456789")
    assert info.stand_in is not None
    assert "stand in for ImageNet" in info.stand_in
    test = open_split(tmp_path, "test")
    with Image.open(min((tmp_path / "folder" / "val" / "0").iterdir())) as png:
        assert np.array_equal(test.read(np.arange(1))[0], np.asarray(png))


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """Its `messages` are what is logged."""
    monkeypatch.setattr(logging.getLogger("parsec"), "propagate", True)
    caplog.set_level(logging.INFO, logger="parsec")
    return caplog


def names(folder: Path, split: str) -> list[str]:
    """Class and file of the images of a split, in order."""
    source = open_folder(folder, 32)
    images = source.training if split == "train" else source.test
    return [
        f"{source.classes[label]}/{Path(p.path).name}" for p, label in zip(images.pieces, images.labels, strict=True)
    ]


def test_order_is_that_of_torchvision(image_folder: Path) -> None:
    for place in ("cat/b/z.png", "cat/b-c/y.JPG", "cat/B/x.png", "cat/b/a/w.webp", "cat-2/v.png"):
        for split in ("train", "val"):
            (image_folder / split / place).parent.mkdir(parents=True, exist_ok=True)
            (image_folder / split / place).touch()
    theirs = torchvision.datasets.ImageFolder(str(image_folder / "train"))
    ours = open_folder(image_folder, 32)
    assert list(ours.classes) == theirs.classes
    assert [
        (p.path, label) for p, label in zip(ours.training.pieces, ours.training.labels, strict=True)
    ] == theirs.samples


@pytest.mark.parametrize(
    ("place", "hidden"),
    [
        (".ipynb_checkpoints/00.png", ".ipynb_checkpoints"),
        ("cat/.ipynb_checkpoints/00.png", "cat/.ipynb_checkpoints"),
        ("cat/._00.png", "cat/._00.png"),
        (".cat\udce9", r".cat\xe9"),
    ],
)
@pytest.mark.parametrize("split", ["train", "val"])
def test_hidden_files_and_folders_are_skipped(
    image_folder: Path, said: pytest.LogCaptureFixture, split: str, place: str, hidden: str
) -> None:
    before = names(image_folder, split)
    (image_folder / split / place).parent.mkdir(exist_ok=True)
    (image_folder / split / place).touch()
    assert names(image_folder, split) == before
    assert said.messages == [f"{image_folder / split}: hidden files and folders left out: 1, the first {hidden}"]


def test_one_class_is_refused(image_folder: Path) -> None:
    for split in ("train", "val"):
        shutil.rmtree(image_folder / split / "cat")
    with pytest.raises(DatasetError, match="train: one class only, dog; a data set needs two or more"):
        open_folder(image_folder, 32)


@pytest.mark.parametrize("splits", [("train", "val"), ("train",), ("val",)])
def test_nested_class_folders_are_reported(image_folder: Path, splits: tuple[str, ...]) -> None:
    for split in splits:
        (image_folder / split).rename(image_folder / "away")
        (image_folder / split).mkdir()
        (image_folder / "away").rename(image_folder / split / "images")
    with pytest.raises(
        DatasetError, match=f"{splits[0]}: one class only, images; class folders lie one level deeper: move cat"
    ):
        open_folder(image_folder, 32)


@pytest.mark.parametrize("split", ["train", "val"])
def test_stray_image_beside_classes_is_skipped(image_folder: Path, said: pytest.LogCaptureFixture, split: str) -> None:
    before = names(image_folder, split)
    (image_folder / split / "preview.png").touch()
    assert names(image_folder, split) == before
    assert said.messages == [
        f"{image_folder / split}: images beside the class folders left out: 1, the first preview.png"
    ]


def test_test_folder_is_skipped_with_notice(image_folder: Path, said: pytest.LogCaptureFixture) -> None:
    (image_folder / "test").mkdir()
    open_folder(image_folder, 32)
    assert said.messages == [f"{image_folder}/test is not read: the test set is val"]


@pytest.mark.parametrize("target", [".", "..", "../..", "../../..", "/", "../cat"])
def test_loops_of_links_are_not_followed(image_folder: Path, target: str) -> None:
    before = names(image_folder, "train")
    (image_folder / "train" / "cat" / "loop").symlink_to(target)
    (image_folder / "train" / "loop").symlink_to(".")
    (image_folder / "train" / "self").symlink_to("self")
    assert names(image_folder, "train") == before


def test_indirect_symlink_loops_are_not_followed(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    Image.new("RGB", (32, 32)).save(tmp_path / "more" / "new.png")
    (tmp_path / "more" / "back").symlink_to(image_folder)
    before = names(image_folder, "train")
    (image_folder / "train" / "dog" / "more").symlink_to(tmp_path / "more")
    assert names(image_folder, "train") == [*before, "dog/new.png"]


def test_no_image_counts_twice_through_links(image_folder: Path, said: pytest.LogCaptureFixture) -> None:
    cat = image_folder / "train" / "cat"
    (cat / "inner").mkdir()
    (cat / "00.png").rename(cat / "inner" / "00.png")
    before = sorted(names(image_folder, "train"))
    (cat / "again").symlink_to("inner")
    (cat / "copy.png").symlink_to("01.png")
    after = names(image_folder, "train")
    assert len(after) == len(before)
    assert sum(name in ("cat/01.png", "cat/copy.png") for name in after) == 1
    assert any(
        line.startswith(f"{image_folder}/train: links to what is listed already left out: 2") for line in said.messages
    )


@pytest.mark.parametrize("whole", [True, False])
def test_image_shared_by_classes_is_refused(image_folder: Path, whole: bool) -> None:
    link = image_folder / "train" / ("eel" if whole else "dog/x.png")
    link.symlink_to("cat" if whole else "../cat/00.png")
    both = "cat/ and eel/" if whole else r"cat/00\.png and dog/x\.png"
    with pytest.raises(DatasetError, match=f"train: {both} are the same by a link; remove one of the two classes"):
        open_folder(image_folder, 32)


def test_linked_files_and_folders_are_read(image_folder: Path, tmp_path: Path) -> None:
    before = [names(image_folder, split) for split in ("train", "val")]
    for split in ("train", "val"):
        (tmp_path / "linked" / split / "cat").mkdir(parents=True)
        (tmp_path / "linked" / split / "dog").symlink_to(image_folder / split / "dog")
        for path in (image_folder / split / "cat").iterdir():
            (tmp_path / "linked" / split / "cat" / path.name).symlink_to(path)
    assert [names(tmp_path / "linked", split) for split in ("train", "val")] == before


def test_non_regular_files_are_refused(image_folder: Path) -> None:
    os.mkfifo(image_folder / "train" / "dog" / "x.jpg")
    with pytest.raises(DatasetError, match=r"train/dog/x\.jpg is no regular file; remove it"):
        open_folder(image_folder, 32)
    (image_folder / "train" / "dog" / "x.jpg").unlink()
    (image_folder / "train" / "dog" / "y.jpg").symlink_to("gone.jpg")
    with pytest.raises(DatasetError, match=r"train/dog/y\.jpg is no regular file"):
        open_folder(image_folder, 32)


@pytest.mark.parametrize("place", [b"cat/cat\xe9.png", b"cat\xe9/0.png"])
def test_non_utf8_names_are_refused_early(image_folder: Path, tmp_path: Path, place: bytes) -> None:
    path = image_folder / "train" / os.fsdecode(place)
    path.parent.mkdir(exist_ok=True)
    shutil.copy(image_folder / "train" / "cat" / "00.png", path)
    with pytest.raises(DatasetError, match=r"train: the name .*cat\\xe9.* is not UTF-8; rename it"):
        prepare(job(image_folder), tmp_path / "out")
    assert not (tmp_path / "out" / "train").exists()


def test_class_with_one_image_is_named(image_folder: Path, tmp_path: Path) -> None:
    for name, said in (("newt", "train/newt has"), ("toad", "2 classes have 1 image, the first train/newt")):
        for split in ("train", "val"):
            (image_folder / split / name).mkdir()
            Image.new("RGB", (32, 32)).save(image_folder / split / name / "0.png")
        with pytest.raises(DatasetError, match=f"^{said}.*; the split needs 2"):
            prepare(job(image_folder), tmp_path / "out")


def test_folder_fingerprint_tracks_its_images(image_folder: Path, tmp_path: Path) -> None:
    first = listing_fingerprint(image_folder)
    assert first == listing_fingerprint(image_folder)
    shutil.copytree(image_folder, tmp_path / "copy", copy_function=shutil.copyfile)
    (tmp_path / "copy" / "train" / ".DS_Store").touch()
    (tmp_path / "copy" / "notes.txt").touch()
    assert listing_fingerprint(tmp_path / "copy") == first
    seen = {first}
    image = tmp_path / "copy" / "val" / "dog" / "00.png"
    for act in (
        lambda: image.write_bytes(image.read_bytes() + b"\0"),
        lambda: image.rename(image.with_name("99.png")),
        lambda: (tmp_path / "copy" / "val" / "dog" / "98.png").touch(),
        lambda: (tmp_path / "copy" / "train" / "newt").mkdir(),
        lambda: (tmp_path / "copy" / "LOC_val_solution.csv").touch(),
        lambda: (tmp_path / "copy" / "LOC_val_solution.csv").write_text("ImageId"),
        lambda: (tmp_path / "copy" / "ILSVRC2012_img_train.tar").touch(),
    ):
        act()
        fingerprint = listing_fingerprint(tmp_path / "copy")
        assert fingerprint is not None
        assert fingerprint not in seen
        seen.add(fingerprint)
    shutil.rmtree(tmp_path / "copy" / "val")
    assert listing_fingerprint(tmp_path / "copy") is None
    assert listing_fingerprint(tmp_path / "gone") is None


def test_large_folder_fingerprint_ignores_file_sizes(image_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SIZED", 29)
    first = listing_fingerprint(image_folder)
    (image_folder / "val" / "dog" / "00.png").write_bytes(b"longer or shorter")
    assert listing_fingerprint(image_folder) == first
    (image_folder / "val" / "dog" / "00.png").rename(image_folder / "val" / "dog" / "99.png")
    assert listing_fingerprint(image_folder) != first


@pytest.fixture
def imagenette(shared_data: Callable[[str], Path], tmp_path: Path) -> Path:
    """Real JPEGs as an image folder: three images of each of ten classes for training, one for testing."""
    parquet = pytest.importorskip("pyarrow.parquet")
    for split, source, count in (("train", "train", 3), ("val", "val", 1)):
        path = shared_data(f"imagenette224-{source}.parquet")
        rows = parquet.read_table(path, columns=["image_jpeg", "wnid"]).to_pandas().groupby("wnid").head(count)
        for i, row in enumerate(rows.itertuples()):
            file = tmp_path / "jpegs" / split / row.wnid / f"{i}.JPEG"
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
        for split in ("train", "val"):
            (tmp_path / split / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (40 * label, 0, 0)).save(tmp_path / split / name / "one.png")
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
