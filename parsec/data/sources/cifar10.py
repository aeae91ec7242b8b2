"""CIFAR-10 from the first source that serves it, accepted only if decoded images and labels have the known SHA-256."""

import hashlib
import logging
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from parsec.data.sources.base import InMemory, Source
from parsec.data.sources.batches import BATCHES, ReadBytes, read_batches
from parsec.data.sources.npm import member, read_npm
from parsec.data.vision import torchvision
from parsec.errors import DatasetError
from parsec.settings.base import expanded
from parsec.settings.datasets import Cifar10

logger = logging.getLogger("parsec")

TRAINING_SHA256 = "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a"
TEST_SHA256 = "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04"
"""Of the decoded uint8 arrays in original order, [N, 32, 32, 3]."""
TRAINING_LABELS_SHA256 = "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253"
TEST_LABELS_SHA256 = "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5"
"""Of the labels in original order as uint8, [N]."""
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
SILENCE_SECONDS = 60.0
"""A connection that says nothing for so long counts as failed, so that the next source is tried."""

Pair = tuple[InMemory, InMemory]
Reader = Callable[[Cifar10, Path], Pair]


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _read_official(read: ReadBytes) -> Pair:
    dataset = torchvision.datasets.CIFAR10
    return read_batches(dataset.train_list, read), read_batches(dataset.test_list, read)


def _from_folder(settings: Cifar10, cache: Path) -> Pair:
    if settings.folder is None:
        raise DatasetError("no folder is set")
    folder = Path(expanded(settings.folder, "dataset.folder"))
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}")
    try:
        return _read_official(lambda name: (folder / BATCHES / name).read_bytes())
    except DatasetError as error:
        raise DatasetError(f"no intact {BATCHES} in {folder}: {error}") from error


def _from_torchvision(settings: Cifar10, cache: Path) -> Pair:
    logger.info("downloading CIFAR-10 with torchvision (170 MB)")
    dataset = torchvision.datasets.CIFAR10
    try:
        with _impatient_sockets():
            torchvision.datasets.utils.download_url(dataset.url, str(cache), dataset.filename, dataset.tgz_md5)
    except (RuntimeError, OSError, HTTPException) as error:
        raise DatasetError(f"the download failed: {' '.join(str(error).split())}") from error
    with tarfile.open(cache / dataset.filename) as tar:
        return _read_official(lambda name: member(tar, f"{BATCHES}/{name}"))


def _from_npm(settings: Cifar10, cache: Path) -> Pair:
    return read_npm(cache)


READERS: dict[str, Reader] = {"folder": _from_folder, "torchvision": _from_torchvision, "npm": _from_npm}


def _check_digest(values: NDArray[np.uint8], expected: str, what: str) -> None:
    found = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
    if found != expected:
        raise DatasetError(f"the SHA-256 of the decoded {what} is {found}, expected {expected}")


def _read_verified(name: str, settings: Cifar10, cache: Path) -> Pair:
    training, test = READERS[name](settings, cache)
    _check_digest(training.pixels, TRAINING_SHA256, "training images")
    _check_digest(test.pixels, TEST_SHA256, "test images")
    _check_digest(training.labels.astype(np.uint8), TRAINING_LABELS_SHA256, "training labels")
    _check_digest(test.labels.astype(np.uint8), TEST_LABELS_SHA256, "test labels")
    return training, test


def _first_that_serves(settings: Cifar10, cache: Path) -> tuple[str, Pair]:
    failures = []
    for name in settings.order:
        try:
            return name, _read_verified(name, settings, cache)
        except DatasetError as error:
            logger.info("CIFAR-10 is not served by %s: %s", name, error)
            failures.append(f"{name}: {error}")
    raise DatasetError(
        f"no source served CIFAR-10 ({'; '.join(failures)}); set `folder` of the data set to a folder that holds "
        "cifar-10-batches-py"
    )


def open_cifar10(settings: Cifar10, output: Path) -> Source:
    """Try the sources in order; what they download lies in `output/download` and is removed once it is decoded.

    Raises:
        DatasetError: no source served the right images; one line names each and why it failed.
    """
    cache = output / "download"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    try:
        name, (training, test) = _first_that_serves(settings, cache)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return Source(CLASSES, SIDE, training, test, served_by=name)
