"""Packed data sets: JPEGs in tar shards, from encoding over an interruption to batches."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import simplejpeg
import torch
from PIL import ExifTags, Image, ImageOps

from parsec.config.datasets import ImageFolder, Jpeg, PrepareJob
from parsec.config.training import Augmentation
from parsec.data import loader as images_module
from parsec.data import prepare as stage
from parsec.data import shards as writing
from parsec.data.augment import Augment, centre_squares, random_boxes
from parsec.data.dataset import open_split, read_info, together
from parsec.data.loader import decode, open_images
from parsec.data.prepare import prepare
from parsec.data.shards import encode
from parsec.data.sources.encoded import Piece
from parsec.data.vision import torchvision
from parsec.errors import DatasetError, UserError
from parsec.runtime.rng import ShardedRNG, generator


def job(folder: Path, side: int = 32, quality: int = 90) -> PrepareJob:
    source = ImageFolder(source="image_folder", folder=str(folder), image_size=side, jpeg=Jpeg(quality=quality))
    return PrepareJob(name="photos", dataset=source)


@pytest.fixture
def packed(image_folder: Path, tmp_path: Path) -> Path:
    prepare(job(image_folder), tmp_path / "out")
    return tmp_path / "out"


def draws(seed: int = 0, shard: int = 0, shards: int = 1) -> ShardedRNG:
    return ShardedRNG(torch.Generator().manual_seed(seed), shard, shards)


def augment(folder: Path, **settings) -> Augment:
    return Augment(Augmentation(**settings), read_info(folder), torch.channels_last)


def test_packed_splits_hold_resized_jpegs(packed: Path) -> None:
    info = read_info(packed)
    assert info.counts == {"train": 12, "validation": 12, "test": 6}
    both = together(open_split(packed, "train"), open_split(packed, "validation"))
    assert np.bincount(both.labels).tolist() == [12, 12]
    for position in range(len(both)):
        with Image.open(io.BytesIO(both.jpeg(position).tobytes())) as image:
            assert image.format == "JPEG"
            assert image.size == (38, 32) == tuple(both.sizes(np.array([position]))[0])
    assert not (packed / "partial").exists()


def test_shards_are_plain_tar_archives(packed: Path) -> None:
    with tarfile.open(packed / "test" / "images-000.tar") as tar:
        assert [member.name for member in tar] == [f"{i:08d}.jpg" for i in range(6)]


def test_statistics_match_stored_pixels(packed: Path) -> None:
    splits = [open_split(packed, split) for split in ("train", "validation")]
    stored = [np.asarray(Image.open(io.BytesIO(p.jpeg(i).tobytes()))) for p in splits for i in range(len(p))]
    # The mean is taken before encoding, which moves it by less than a grey level.
    assert np.allclose(np.concatenate(stored).reshape(-1, 3).mean(0) / 255, read_info(packed).mean, atol=1 / 255)


def test_a_small_jpeg_keeps_its_bytes(tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (200, 10, 90)).save(tmp_path / "small.jpg", quality=71)
    stored = encode(Piece(str(tmp_path / "small.jpg")), short_side=32, quality=90)
    assert stored.content == (tmp_path / "small.jpg").read_bytes()
    assert (stored.width, stored.height) == (40, 30)


def with_spare_bytes(content: bytes) -> bytes:
    """A JPEG that Pillow reads and the decoder of training refuses."""
    return content[:-2] + bytes(214) + content[-2:]


def test_undecodable_jpegs_are_reencoded(image_folder: Path, tmp_path: Path) -> None:
    damaged = []
    for path in list(image_folder.rglob("*.png")):
        with Image.open(path) as image:
            image.resize((20, 16)).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
        damaged.append(path.with_suffix(".jpg"))
    for path in damaged[::2]:
        path.write_bytes(with_spare_bytes(path.read_bytes()))
    with pytest.raises(DatasetError, match="damaged"):
        decode(np.frombuffer(damaged[0].read_bytes(), np.uint8), np.array([20, 16]), np.array([0, 0, 20, 16]), 16)
    prepare(job(image_folder), tmp_path / "out")
    kept = {path.read_bytes() for path in damaged[1::2]}
    stored = set()
    for name in ("train", "validation", "test"):
        split = open_split(tmp_path / "out", name)
        for position in range(len(split)):
            decode(split.jpeg(position), split.sizes(np.array([position]))[0], np.array([0, 0, 16, 16]), 16)
            stored.add(split.jpeg(position).tobytes())
    assert kept < stored


@pytest.mark.parametrize("orientation", [3, 6])
def test_a_stored_jpeg_is_upright(tmp_path: Path, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = Image.new("RGB", (40, 30), (200, 10, 90))
    image.paste((10, 200, 30), (0, 0, 20, 30))
    image.save(tmp_path / "small.jpg", quality=95, exif=exif)
    stored = encode(Piece(str(tmp_path / "small.jpg")), short_side=32, quality=95)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "small.jpg"))).astype(int)
    assert (stored.height, stored.width) == upright.shape[:2]
    assert np.abs(simplejpeg.decode_jpeg(stored.content) - upright).mean() < 3


def test_grey_jpegs_are_stored_in_colour(tmp_path: Path) -> None:
    Image.new("L", (40, 30), 77).save(tmp_path / "grey.jpg")
    stored = encode(Piece(str(tmp_path / "grey.jpg")), short_side=32, quality=90)
    with Image.open(io.BytesIO(stored.content)) as image:
        assert image.mode == "RGB"


def test_interrupted_preparation_reuses_encoded_shards(image_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "IMAGES_PER_SHARD", 5)
    prepare(job(image_folder), tmp_path / "whole")
    encoded = []

    def failing(piece, *rest):
        encoded.append(piece)
        if len(encoded) == 14:
            raise KeyboardInterrupt
        return encode(piece, *rest)

    monkeypatch.setattr(writing, "encode", failing)
    with pytest.raises(KeyboardInterrupt):
        prepare(job(image_folder), tmp_path / "out")
    assert len(list((tmp_path / "out" / "partial" / "train").glob("images-*.tar"))) == 3
    monkeypatch.setattr(writing, "encode", lambda piece, *rest: encoded.append(piece) or encode(piece, *rest))
    encoded.clear()
    prepare(job(image_folder), tmp_path / "out")
    assert len(encoded) == 30 - 12
    assert read_info(tmp_path / "out").content_hash == read_info(tmp_path / "whole").content_hash


def test_resumed_preparation_counts_remaining_images(image_folder, tmp_path, monkeypatch, caplog) -> None:
    monkeypatch.setattr(writing, "IMAGES_PER_SHARD", 5)
    with monkeypatch.context() as first:
        images = iter(range(7))
        first.setattr(writing, "encode", lambda *given: (next(images), encode(*given))[1])
        with pytest.raises(RuntimeError, match="StopIteration"):
            prepare(job(image_folder), tmp_path / "out")
    monkeypatch.setattr(writing, "PROGRESS_SECONDS", 0.0)
    with caplog.at_level("INFO", logger="parsec"):
        prepare(job(image_folder), tmp_path / "out")
    assert "train: 7 of 7 images, 0 s left" in caplog.text


def test_repeated_preparation_is_read_anew(image_folder, tmp_path) -> None:
    for quality in (90, 20):
        prepare(job(image_folder, quality=quality), tmp_path / "out")
        split = open_split(tmp_path / "out", "train")
        with tarfile.open(tmp_path / "out" / "train" / "images-000.tar") as tar:
            stored = [tar.extractfile(member).read() for member in tar]
        assert [split.jpeg(position).tobytes() for position in range(len(split))] == stored


def test_shards_from_other_settings_are_refused(image_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(writing, "write_array", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare(job(image_folder), tmp_path / "out")
    monkeypatch.undo()
    with pytest.raises(UserError, match="delete it to start from scratch"):
        prepare(job(image_folder, quality=50), tmp_path / "out")
    monkeypatch.setattr(stage, "code_fingerprint", lambda *_: "another way to encode")
    with pytest.raises(UserError, match="other settings, images or code"):
        prepare(job(image_folder), tmp_path / "out")


def test_boxes_fit_images_with_requested_ratios() -> None:
    sizes = np.tile([[500, 375], [256, 256], [300, 900]], (400, 1))
    boxes = random_boxes(sizes, 0.08, draws())
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2:] > 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= sizes).all()
    assert (boxes[:, 2] / boxes[:, 3]).min() > 0.72
    assert (boxes[:, 2] / boxes[:, 3]).max() < 1.37


@pytest.mark.parametrize("size", [(500, 375), (300, 900)])
def test_boxes_are_spread_as_torchvisions_are(size: tuple[int, int]) -> None:
    ours = random_boxes(np.tile([size], (4000, 1)), 0.08, draws())
    torch.manual_seed(0)
    image, params = torch.empty(1, size[1], size[0]), torchvision.transforms.RandomResizedCrop.get_params
    theirs = np.array([params(image, [0.08, 1.0], [3 / 4, 4 / 3]) for _ in range(4000)])[:, [1, 0, 3, 2]]
    assert np.allclose(ours.mean(0), theirs.mean(0), rtol=0.05)
    assert np.allclose(ours.std(0), theirs.std(0), rtol=0.05)


def test_sharded_batch_crops_match_whole_batch() -> None:
    sizes = np.tile([[500, 375]], (8, 1))
    whole = random_boxes(sizes, 0.08, draws())
    halves = [random_boxes(sizes[:4], 0.08, draws(shard=shard, shards=2)) for shard in (0, 1)]
    assert np.array_equal(np.concatenate(halves), whole)


def test_centre_squares_are_the_largest() -> None:
    assert centre_squares(np.array([[341, 256], [256, 400]])).tolist() == [[42, 0, 256, 256], [0, 72, 256, 256]]


@pytest.fixture(scope="session")
def photo(shared_data: Callable[[str], Path]) -> np.ndarray:
    table = pq.ParquetFile(shared_data("imagenette224-val.parquet")).read_row_group(0)
    return np.frombuffer(table["image_jpeg"][3].as_py(), dtype=np.uint8)


@pytest.mark.parametrize(("box", "side"), [((13, 40, 150, 120), 128), ((0, 0, 224, 224), 64), ((50, 60, 100, 75), 96)])
def test_box_resizing_matches_torchvision(photo, box, side) -> None:
    resized = decode(photo, np.array([224, 224]), np.array(box), side).numpy().astype(float)
    with Image.open(io.BytesIO(photo.tobytes())) as image:
        left, top, width, height = box
        cropped = torchvision.transforms.functional.resized_crop(image, top, left, height, width, [side, side])
    # A scale below one half lets the decoder average pixels by itself, by another filter.
    assert np.abs(resized - np.asarray(cropped)).mean() < (0.6 if side > 64 else 2.5)


def test_damaged_jpeg_fails_in_one_line(photo) -> None:
    with pytest.raises(DatasetError, match="makes the data set again"):
        decode(photo[:500], np.array([224, 224]), np.array([0, 0, 224, 224]), 64)


def test_prefetched_batches_match_direct_ones(packed: Path) -> None:
    change = augment(packed, crop="resized", size=24, flip=False)
    indices = [torch.arange(4), torch.arange(4, 8)]
    plain, ahead = (open_images(open_split(packed, "train"), "cpu", seed=3) for _ in range(2))
    expected = [plain.train(batch, change, draws(), step) for step, batch in enumerate(indices)]
    for step, batch in enumerate(indices):
        ahead.ahead(batch, change, draws(), step)
        images, labels = ahead.train(batch, change, draws(), step)
        assert images.shape == (4, 3, 24, 24)
        assert torch.equal(images, expected[step][0])
        assert torch.equal(labels, expected[step][1])
    other = open_images(open_split(packed, "train"), "cpu", seed=4).train(indices[0], change, draws(), 0)
    assert not torch.equal(other[0], expected[0][0])


def test_no_image_is_decoded_twice(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, change = [], augment(packed, crop="resized", size=24, flip=False)
    monkeypatch.setattr(images_module, "decode", lambda *given: decoded.append(given) or decode(*given))
    images = open_images(open_split(packed, "train"), "cpu", seed=3)
    images.ahead(torch.arange(4, 8), change, draws(), 1)
    for step in range(2):
        images.train(torch.arange(4) + 4 * step, change, draws(), step)
    assert len(decoded) == 8


def test_evaluation_sees_the_normalised_centre(packed: Path) -> None:
    change, split = augment(packed, crop="resized", size=28), open_split(packed, "test")
    images, labels = open_images(split, "cpu", 0).evaluate(torch.arange(2), change)
    info = read_info(packed)
    square = decode(split.jpeg(1), np.array([38, 32]), np.array([3, 0, 32, 32]), 32)
    pixels = square[2:30, 2:30].double() / 255
    expected = (pixels - torch.tensor(info.mean)) / torch.tensor(info.std)
    assert torch.allclose(images[1].permute(1, 2, 0).double(), expected, atol=1e-5)
    assert labels.tolist() == split.labels[:2].tolist()


@pytest.mark.parametrize("size", [32, 20])
def test_other_crops_use_stored_centre_square(packed: Path, size: int) -> None:
    split = open_split(packed, "train")
    squares = torch.stack([decode(split.jpeg(i), np.array([38, 32]), np.array([3, 0, 32, 32]), 32) for i in range(3)])
    for crop in ("pad", "none"):
        change = augment(packed, crop=crop, size=size)
        images, _ = open_images(split, "cpu", 0).train(torch.arange(3), change, draws(), 0)
        assert torch.equal(images, change.train(squares.permute(0, 3, 1, 2), draws()))


def test_record_says_how_images_are_stored(packed: Path) -> None:
    assert json.loads((packed / "dataset.json").read_text())["storage"] == "jpeg"


def test_seed_and_step_determine_boxes(packed: Path) -> None:
    change, split = augment(packed, crop="resized", size=24, flip=False), open_split(packed, "train")
    later = open_images(split, "cpu", seed=3)
    later.train(torch.arange(4), change, draws(), 0)
    resumed = open_images(split, "cpu", seed=3)
    again = [images.train(torch.arange(4), change, draws(), 7)[0] for images in (later, resumed)]
    assert torch.equal(*again)
    assert generator(3, "boxes", 7).initial_seed() != generator(3, "boxes", 8).initial_seed()
