"""Atomic writing: the old content or the new one, and one line when the disk is full."""

import errno
import os
from pathlib import Path

import pytest

from parsec.errors import UserError
from parsec.runtime.files import remove_partial, temporary_path, write_atomic

FULL = Path("/dev/full")


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_writes_text_bytes_and_folders(tmp_path):
    write_atomic(tmp_path / "a" / "b.json", "π")
    write_atomic(tmp_path / "a" / "c.bin", b"\x00\xff")
    assert (tmp_path / "a" / "b.json").read_bytes() == "π".encode()
    assert (tmp_path / "a" / "c.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path / "a") == ["b.json", "c.bin"]


def test_temporary_path_keeps_ending_and_folder(tmp_path):
    with temporary_path(tmp_path / "x.parquet") as temporary:
        assert temporary.suffix == ".parquet"
        assert temporary.parent == tmp_path
        temporary.write_text("new")
        assert not (tmp_path / "x.parquet").exists()
    assert names(tmp_path) == ["x.parquet"]


def test_failure_keeps_old_content(tmp_path):
    path = tmp_path / "x"
    write_atomic(path, "old")

    def fail():
        with temporary_path(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("writer failed")

    with pytest.raises(RuntimeError, match="writer failed"):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x"]


def test_full_disk_keeps_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write_atomic(path, "old")

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left") as caught:
        write_atomic(path, "new")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_full_disk_inside_a_writer(tmp_path):
    def fill():
        with temporary_path(tmp_path / "x"), FULL.open("wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(UserError, match="no space left"):
        fill()


def test_file_as_folder_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_atomic(tmp_path / "file" / "x", "")


def test_remove_partial_takes_only_leftovers(tmp_path):
    (tmp_path / ".partial-0a1b2c3d-x").write_text("half")
    (tmp_path / ".partial-mine").write_text("a name of somebody's own")
    (tmp_path / "x").write_text("whole")
    remove_partial(tmp_path)
    assert names(tmp_path) == [".partial-mine", "x"]
