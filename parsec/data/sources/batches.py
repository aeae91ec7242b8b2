"""Official files of CIFAR-10 and CIFAR-100: pickles of Python 2, of which only arrays, text and numbers are built.

A pickle may name any function to be called when it is read. These are read only if their MD5 is the published one, and
even then through a reader that knows the few names an array is made of.
"""

import hashlib
import io
import pickle
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from parsec.data.sources.base import InMemory
from parsec.errors import DatasetError

SIDE = 32
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
    """What a pickle holds, if that is arrays, containers, text and numbers.

    Raises:
        DatasetError: it is damaged or names anything else.
    """
    try:
        return _Plain(io.BytesIO(content), encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError) as error:
        raise DatasetError(f"a pickle that cannot be read ({error})") from error


def read_batches(files: Sequence[tuple[str, str]], read: ReadBytes, key: str = "labels") -> InMemory:
    """The images of some files, one after another.

    Args:
        files: names and MD5s.
        read: what gives the content of a file.
        key: which of the labels in the files.

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
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DatasetError(f"the MD5 of {name} is {found}, expected {md5}")
    return content
