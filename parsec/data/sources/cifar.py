"""CIFAR-10 and CIFAR-100 from the first source that serves them, accepted only if they are the published images.

The official files are known by the MD5s that torchvision publishes. What is decoded of CIFAR-10 is known by its SHA-256
as well, so that a mirror may serve it in another form.
"""

import hashlib
import logging
import shutil
import socket
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from parsec.data.sources.base import InMemory, Source
from parsec.data.sources.batches import SIDE, ReadBytes, read_batches, read_names
from parsec.data.sources.npm import member, read_npm
from parsec.data.vision import torchvision
from parsec.errors import DatasetError
from parsec.runtime.files import partial_path
from parsec.settings.base import expanded
from parsec.settings.datasets import Cifar10, Cifar100

logger = logging.getLogger("parsec")

TRAINING_SHA256 = "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a"
TEST_SHA256 = "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04"
"""Of CIFAR-10's decoded uint8 arrays in original order, [N, 32, 32, 3]."""
TRAINING_LABELS_SHA256 = "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253"
TEST_LABELS_SHA256 = "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5"
"""Of its labels in original order as uint8, [N]."""
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SILENCE_SECONDS = 60.0
"""A connection that says nothing for so long counts as failed, so that the next source is tried."""

Cifar = Cifar10 | Cifar100


class Served(NamedTuple):
    """What a source gives."""

    classes: tuple[str, ...]
    training: InMemory
    test: InMemory


Reader = Callable[[Cifar, Path], Served]


class Official(NamedTuple):
    """The files of the authors."""

    title: str
    known: Any
    """The class of torchvision that has their names, MD5s and address."""
    labels: str
    """Key of the labels in them: of CIFAR-100 the 100 fine ones."""
    classes: tuple[str, ...] | None
    """None: those that the file `meta` beside them names."""

    def read(self, read: ReadBytes) -> Served:
        """Images, labels and names of classes, out of files whose MD5 is the published one."""
        parts = (read_batches(files, read, self.labels) for files in (self.known.train_list, self.known.test_list))
        return Served(self.classes or read_names(self.known.meta, read), *parts)


def official(settings: Cifar) -> Official:
    """The files of the authors of a data set."""
    if settings.source == "cifar100":
        return Official("CIFAR-100", torchvision.datasets.CIFAR100, "fine_labels", None)
    return Official("CIFAR-10", torchvision.datasets.CIFAR10, "labels", CIFAR10_CLASSES)


@contextmanager
def _impatient_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _from_folder(settings: Cifar, cache: Path) -> Served:
    if settings.folder is None:
        raise DatasetError("no folder is set")
    folder = Path(expanded(settings.folder, "dataset.folder"))
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}")
    files = official(settings)
    try:
        return files.read(lambda name: (folder / files.known.base_folder / name).read_bytes())
    except DatasetError as error:
        raise DatasetError(f"no intact {files.known.base_folder} in {folder}: {error}") from error


def _from_torchvision(settings: Cifar, cache: Path) -> Served:
    files = official(settings)
    known = files.known
    logger.info("downloading %s with torchvision (170 MB)", files.title)
    try:
        with _impatient_sockets():
            torchvision.datasets.utils.download_url(known.url, str(cache), known.filename, known.tgz_md5)
    except (RuntimeError, OSError, HTTPException) as error:
        raise DatasetError(f"the download failed: {' '.join(str(error).split())}") from error
    with tarfile.open(cache / known.filename) as tar:
        return files.read(lambda name: member(tar, f"{known.base_folder}/{name}"))


def _from_npm(settings: Cifar, cache: Path) -> Served:
    return Served(CIFAR10_CLASSES, *read_npm(cache))


READERS: dict[str, Reader] = {"folder": _from_folder, "torchvision": _from_torchvision, "npm": _from_npm}


def _check_digest(values: NDArray[np.uint8], expected: str, what: str) -> None:
    found = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
    if found != expected:
        raise DatasetError(f"the SHA-256 of the decoded {what} is {found}, expected {expected}")


def _read_verified(name: str, settings: Cifar, cache: Path) -> Served:
    served = READERS[name](settings, cache)
    if settings.source == "cifar10":
        _check_digest(served.training.pixels, TRAINING_SHA256, "training images")
        _check_digest(served.test.pixels, TEST_SHA256, "test images")
        _check_digest(served.training.labels.astype(np.uint8), TRAINING_LABELS_SHA256, "training labels")
        _check_digest(served.test.labels.astype(np.uint8), TEST_LABELS_SHA256, "test labels")
    return served


def _first_that_serves(settings: Cifar, cache: Path) -> tuple[str, Served]:
    files, failures = official(settings), []
    for name in settings.order:
        try:
            return name, _read_verified(name, settings, cache)
        except DatasetError as error:
            logger.info("%s is not served by %s: %s", files.title, name, error)
            failures.append(f"{name}: {error}")
    raise DatasetError(
        f"no source served {files.title} ({'; '.join(failures)}); set `folder` of the data set to a folder that holds "
        f"{files.known.base_folder}"
    )


def open_cifar(settings: Cifar, output: Path) -> Source:
    """Try the sources in order; what they download lies in a folder of a random name and is removed once it is decoded.

    Raises:
        DatasetError: no source served the right images; one line names each and why it failed.
    """
    cache = partial_path(output / "download")
    cache.mkdir(parents=True)
    try:
        name, served = _first_that_serves(settings, cache)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    return Source(served.classes, SIDE, served.training, served.test, served_by=name)
