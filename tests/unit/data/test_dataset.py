"""Opening a prepared data set: damage is named, limits are balanced, splits join."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from parsec.config.datasets import Digits, PrepareJob
from parsec.data import dataset as dataset_module
from parsec.data import shards
from parsec.data.dataset import open_split, read_info, together
from parsec.data.prepare import prepare
from parsec.errors import DatasetError


@pytest.fixture
def copy(digits: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(digits, tmp_path / "data"))


@pytest.fixture
def sharded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The digits in shards of 100 images."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 128 + 100 * 192)
    prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), tmp_path / "sharded")
    return tmp_path / "sharded"


def test_missing_folder_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"no data set in .*nowhere: dataset.json is missing; `prepare` makes it"):
        read_info(tmp_path / "nowhere")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 3}', '{"schema": 2, "name": "digits"}'])
def test_damaged_record(copy: Path, text: str) -> None:
    (copy / "dataset.json").write_text(text)
    with pytest.raises(DatasetError, match=r"dataset.json is damaged or of another version; `prepare` makes it again"):
        open_split(copy, "train")


def test_truncated_shard(copy: Path) -> None:
    path = copy / "train" / "images-000.npy"
    path.write_bytes(path.read_bytes()[:-10])
    line = r"images-000.npy has 137974 bytes instead of 137984; add `--forcerun .*/dataset.json`"
    with pytest.raises(DatasetError, match=line):
        open_split(copy, "train")


@pytest.mark.parametrize("name", ["images-000.npy", "labels.npy"])
def test_changed_file(copy: Path, name: str) -> None:
    path = copy / "test" / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=rf"test/{name} has changed since it was written"):
        open_split(copy, "test")


@pytest.mark.parametrize("name", ["images-000.npy", "labels.npy"])
def test_missing_file(copy: Path, name: str) -> None:
    (copy / "validation" / name).unlink()
    with pytest.raises(DatasetError, match=rf"validation/{name} is missing"):
        open_split(copy, "validation")


def test_other_splits_are_not_touched(copy: Path) -> None:
    shutil.rmtree(copy / "test")
    assert len(open_split(copy, "train")) == 718


def test_images_are_memory_mapped(digits: Path) -> None:
    split = open_split(digits, "train")
    assert isinstance(split.images[0], np.memmap)
    assert split.images[0].dtype == np.uint8


def test_limit_takes_first_images_per_class(digits: Path) -> None:
    whole, few = open_split(digits, "train"), open_split(digits, "train", limit=40)
    assert np.bincount(few.labels).tolist() == [4] * 10
    first = np.sort(np.concatenate([np.flatnonzero(whole.labels == label)[:4] for label in range(10)]))
    assert np.array_equal(few.read(np.arange(40)), whole.read(first))
    assert np.array_equal(few.labels, whole.labels[first])


@pytest.mark.parametrize("limit", [1, 7, 10, 43])
def test_limit_is_exact_and_balanced(digits: Path, limit: int) -> None:
    counts = np.bincount(open_split(digits, "train", limit=limit).labels, minlength=10)
    assert counts.sum() == limit
    assert counts.max() - counts.min() <= 1


def test_limit_fills_from_larger_classes(digits: Path) -> None:
    assert len(open_split(digits, "train", limit=717)) == 717
    assert len(open_split(digits, "train", limit=10_000)) == 718


def test_reading_spans_more_shards_than_open(digits: Path, sharded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset_module, "OPEN_SHARDS", 2)
    positions = np.random.default_rng(0).permutation(718)[:300]
    many, one = open_split(sharded, "train"), open_split(digits, "train")
    assert len(many.images) == 8
    assert np.array_equal(many.read(positions), one.read(positions))


def test_shards_are_read_in_numeric_order(digits: Path, sharded: Path) -> None:
    text = (sharded / "dataset.json").read_text()
    for old, new in (("images-007", "images-1000"), ("images-006", "images-999")):
        (sharded / "train" / f"{old}.npy").rename(sharded / "train" / f"{new}.npy")
        record = json.loads(text)
        files = record["splits"]["train"]["files"]
        files[f"{new}.npy"] = files.pop(f"{old}.npy")
        text = json.dumps(record, sort_keys=True)
    (sharded / "dataset.json").write_text(text)
    everything = np.arange(718)
    assert np.array_equal(open_split(sharded, "train").read(everything), open_split(digits, "train").read(everything))


def test_joined_splits_follow_one_another(digits: Path, sharded: Path) -> None:
    train, validation = open_split(sharded, "train", limit=50), open_split(digits, "validation")
    both = together(train, validation)
    assert len(both) == 769
    assert np.array_equal(both.labels, np.concatenate([train.labels, validation.labels]))
    expected = np.concatenate([train.read(np.arange(50)), validation.read(np.arange(719))])
    assert np.array_equal(both.read(np.arange(769)), expected)
