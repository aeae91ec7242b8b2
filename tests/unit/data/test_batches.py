"""Pickles of others: arrays come out of them, and nothing that they name is called."""

import hashlib
import os
import pickle

import numpy as np
import pytest

from parsec.data.sources.cifar import read_batches, unpickle
from parsec.errors import DatasetError


class Call:
    """What would call a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_old_and_new_numpy_arrays_load(protocol):
    rows = np.arange(12, dtype=np.uint8).reshape(2, 6)
    content = pickle.dumps({"data": rows, "labels": [1, 2]}, protocol=protocol)
    if protocol < 4:
        assert b"numpy._core" in content
        content = content.replace(b"numpy._core", b"numpy.core")
    loaded = unpickle(content)
    assert np.array_equal(loaded["data"], rows)
    assert loaded["labels"] == [1, 2]


@pytest.mark.parametrize("function", [os.system, os.mkdir, eval, print, np.fromfile, open])
def test_pickled_functions_are_refused_uncalled(function, tmp_path):
    content = pickle.dumps({"data": Call(function, str(tmp_path / "made"))})
    with pytest.raises(DatasetError, match="a pickle that names"):
        unpickle(content)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b"\x80", b"short", pickle.dumps([1] * 100)[:40]])
def test_half_a_pickle_is_one_line(content):
    with pytest.raises(DatasetError, match="a pickle that cannot be read"):
        unpickle(content)


def test_altered_file_is_never_unpickled(tmp_path):
    content = pickle.dumps(Call(os.mkdir, str(tmp_path / "made")))
    with pytest.raises(DatasetError, match="the MD5 of a is"):
        read_batches([("a", "0" * 32)], {"a": content}.__getitem__)
    with pytest.raises(DatasetError, match="b is missing"):
        read_batches([("b", "0" * 32)], {"a": content}.__getitem__)


def test_unrelated_pickle_fails_in_one_line():
    content = pickle.dumps({"other": 1})
    md5 = hashlib.md5(content).hexdigest()
    with pytest.raises(DatasetError, match="no batches of images"):
        read_batches([("a", md5)], {"a": content}.__getitem__)
