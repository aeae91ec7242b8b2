"""Preparing a data set: complete, stratified, exact, and safe to interrupt and repeat."""

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from parsec.config.base import fingerprint
from parsec.config.datasets import Digits, ImageFolder, PrepareJob
from parsec.data import prepare as stage
from parsec.data import shards
from parsec.data.dataset import open_split, read_info
from parsec.data.prepare import prepare
from parsec.errors import DatasetError

SPLITS = ("train", "validation", "test")
IMAGE_BYTES = 8 * 8 * 3


def job(**settings: Any) -> PrepareJob:
    return PrepareJob(name="digits", dataset=Digits(source="digits", **settings))


def indices(folder: Path) -> dict[str, list[int]]:
    return json.loads((folder / "splits.json").read_text())["indices"]


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_splits_are_disjoint_and_complete(digits: Path) -> None:
    together = sorted(i for split in indices(digits).values() for i in split)
    assert together == list(range(1797))
    assert {split: len(members) for split, members in indices(digits).items()} == read_info(digits).counts


def test_every_class_keeps_its_share(digits: Path) -> None:
    target = load_digits().target
    for split, share in (("train", 0.4), ("validation", 0.4), ("test", 0.2)):
        counts = np.bincount(target[indices(digits)[split]])
        assert np.abs(counts - share * np.bincount(target)).max() <= 1.5


def test_stored_images_and_labels_match_source(digits: Path) -> None:
    bunch = load_digits()
    for split in SPLITS:
        opened, chosen = open_split(digits, split), indices(digits)[split]
        images = opened.read(np.arange(len(opened)))
        assert np.array_equal(images[..., 0], np.rint(bunch.images[chosen] * 255 / 16))
        assert np.array_equal(images[..., 0], images[..., 2])
        assert np.array_equal(opened.labels, bunch.target[chosen])


def test_normalisation_statistics_exclude_test_images(digits: Path) -> None:
    splits = [open_split(digits, name) for name in ("train", "validation")]
    pixels = np.concatenate([split.read(np.arange(len(split))) for split in splits]) / 255
    info = read_info(digits)
    np.testing.assert_allclose(info.mean, pixels.mean(axis=(0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(info.std, pixels.std(axis=(0, 1, 2)), rtol=1e-12)


def test_record_names_files_hashes_and_settings(digits: Path) -> None:
    record = json.loads((digits / "dataset.json").read_text())
    for split in SPLITS:
        for name, entry in record["splits"][split]["files"].items():
            content = (digits / split / name).read_bytes()
            assert entry == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    assert record["schema"] == 2
    assert record["channels"] == 3
    assert record["stand_in"] is None
    source = json.loads((digits / "source.json").read_text())
    assert source["served_by"] == "scikit-learn"
    assert source["settings"] == job().model_dump(mode="json")
    assert source["fingerprint"] == fingerprint(job())


def test_images_and_split_determine_record(digits: Path, tmp_path: Path) -> None:
    prepare(job(validation_fraction=0.50001), tmp_path)
    changed = {name for name, content in tree(tmp_path).items() if content != tree(digits)[name]}
    assert changed == {"source.json"}


def test_repeated_preparation_is_bitwise_identical(digits: Path, tmp_path: Path) -> None:
    prepare(job(validation_fraction=0.2), tmp_path)
    (tmp_path / "train" / "images-007.npy").write_bytes(b"left over")
    (tmp_path / ".partial-0a1b2c3d-dataset.json").write_bytes(b"of a killed writer")
    prepare(job(), tmp_path)
    assert tree(tmp_path) == tree(digits)


def test_split_seed_leaves_test_set_unchanged(digits: Path, tmp_path: Path) -> None:
    prepare(job(split_seed=1, validation_fraction=0.25), tmp_path)
    before, after = indices(digits), indices(tmp_path)
    assert after["train"] != before["train"]
    assert after["test"] == before["test"]
    assert len(after["validation"]) == 360
    assert read_info(tmp_path).content_hash != read_info(digits).content_hash


def test_shards_are_bounded_and_ordered(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 128 + 100 * IMAGE_BYTES
    monkeypatch.setattr(shards, "SHARD_BYTES", limit)
    monkeypatch.setattr(shards, "CHUNK", 7)
    prepare(job(), tmp_path)
    files = sorted((tmp_path / "train").glob("images-*.npy"))
    assert [file.name for file in files] == [f"images-{i:03d}.npy" for i in range(8)]
    assert max(file.stat().st_size for file in files) == limit
    assert np.load(files[0], mmap_mode="r").shape == (100, 8, 8, 3)
    many, one = open_split(tmp_path, "train"), open_split(digits, "train")
    assert np.array_equal(many.read(np.arange(718)), one.read(np.arange(718)))
    assert read_info(tmp_path).mean == read_info(digits).mean


def test_shards_stay_below_55_megabytes() -> None:
    for side in (8, 32, 64, 224, 256):
        assert shards.images_per_shard(side) * side * side * 3 + 128 <= 55_000_000


def test_interrupted_preparation_is_invalid_until_repeated(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = np.save

    def killed(file: Any, array: np.ndarray, **options: Any) -> None:
        if len(array) == 719:
            file.write(b"half")
            raise KeyboardInterrupt
        save(file, array, **options)

    with monkeypatch.context() as patch:
        patch.setattr(shards.np, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare(job(), tmp_path)
    assert sorted(tree(tmp_path)) == [".parsec.json", "train/images-000.npy", "train/labels.npy"]
    with pytest.raises(DatasetError, match="`prepare` makes it"):
        read_info(tmp_path)
    prepare(job(), tmp_path)
    assert tree(tmp_path) == tree(digits)


def test_low_disk_space_keeps_existing_data(digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(digits, tmp_path / "data")
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda path: SimpleNamespace(free=-400_000))
    with pytest.raises(DatasetError, match=r"1797 images of 8 × 8 pixels need 0.00 GB.*are free; free some"):
        prepare(job(), tmp_path / "data")
    assert tree(tmp_path / "data") == tree(digits)


def test_failing_source_keeps_existing_data(digits: Path, tmp_path: Path) -> None:
    shutil.copytree(digits, tmp_path / "data")
    missing = ImageFolder(source="image_folder", folder=str(tmp_path / "nowhere"))
    with pytest.raises(DatasetError, match=r"no folder .*nowhere"):
        prepare(PrepareJob(name="digits", dataset=missing), tmp_path / "data")
    assert tree(tmp_path / "data") == tree(digits)


def test_split_missing_a_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"1437 images cannot be split with a share of 0\.001"):
        prepare(job(validation_fraction=0.001), tmp_path)
