"""Checkpoints: exact, checked, bound to settings, kept by one process."""

import errno
import hashlib
import io
import os
from collections import OrderedDict

import pytest
import torch

from parsec.errors import CheckpointError, UserError
from parsec.runtime.checkpoint import Checkpoints, checkpoint_files


@pytest.fixture
def store(tmp_path):
    with Checkpoints(tmp_path, "aa") as checkpoints:
        yield checkpoints


def damage(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def test_nothing_saved_is_none(store):
    assert store.load() is None


def test_state_comes_back_exactly(store):
    state = {
        "weights": OrderedDict(a=torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)),
        "list": [1, 0.1, "x", None, True, (2, torch.tensor(1.0, dtype=torch.float64))],
        7: b"bytes",
    }
    store.save(3, state)
    loaded = store.load()
    assert torch.equal(loaded["weights"]["a"], state["weights"]["a"])
    assert loaded["weights"]["a"].stride() == state["weights"]["a"].stride()
    assert loaded["list"] == state["list"]
    assert loaded[7] == b"bytes"


def test_two_are_kept_and_the_newest_is_loaded(store, tmp_path):
    for step in (1, 2, 10):
        store.save(step, {"step": step})
    assert len(checkpoint_files(tmp_path)) == 2
    assert store.load() == {"step": 10}


@pytest.mark.parametrize("harm", ["flip", "truncate", "empty", "other file"])
def test_damaged_newest_falls_back_with_a_warning(store, tmp_path, harm, caplog):
    store.save(1, {"step": 1})
    store.save(2, {"step": 2})
    newest = checkpoint_files(tmp_path)[-1]
    content = newest.read_bytes()
    harmed = {"truncate": content[:100], "empty": b"", "other file": b"hello\nworld\n"}
    if harm == "flip":
        damage(newest)
    else:
        newest.write_bytes(harmed[harm])
    with caplog.at_level("WARNING", logger="parsec"):
        assert store.load() == {"step": 1}
    assert not newest.exists()
    assert newest.with_suffix(".damaged").exists()


def test_all_damaged_names_file_and_remedy(store, tmp_path):
    store.save(1, {})
    store.save(2, {})
    for path in checkpoint_files(tmp_path):
        damage(path)
    with pytest.raises(CheckpointError, match=r"step-0*2\.ckpt: damaged.*delete") as caught:
        store.load()
    assert "\n" not in str(caught.value)
    assert len(checkpoint_files(tmp_path)) == 2


def test_other_settings_are_refused_and_kept(tmp_path):
    with Checkpoints(tmp_path, "aa") as store:
        store.save(1, {})
    with Checkpoints(tmp_path, "bb") as store, pytest.raises(CheckpointError, match="settings aa, not to these"):
        store.load()
    assert len(checkpoint_files(tmp_path)) == 1


def test_folder_in_use_is_refused(store, tmp_path):
    with pytest.raises(CheckpointError, match="another process"):
        Checkpoints(tmp_path, "aa")
    store.close()
    Checkpoints(tmp_path, "aa").close()


def test_full_disk_keeps_the_older_checkpoint(store, tmp_path, monkeypatch):
    store.save(1, {"step": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left"):
        store.save(2, {"step": 2})
    assert store.load() == {"step": 1}
    assert not list(tmp_path.glob(".partial-*"))


def test_leftovers_of_a_kill_are_removed_on_opening(tmp_path):
    (tmp_path / ".partial-0a1b2c3d-step-000000000001.ckpt").write_text("half")
    Checkpoints(tmp_path, "aa").close()
    assert not list(tmp_path.glob(".partial-*"))


def test_what_could_not_be_loaded_is_not_saved(store, tmp_path):
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\]: a checkpoint cannot hold a Path"):
        store.save(1, {"a": [0, type("Path", (), {})()]})
    assert not checkpoint_files(tmp_path)


def test_clear_removes_all(store, tmp_path):
    store.save(1, {})
    store.clear()
    assert store.load() is None


@pytest.mark.parametrize(
    "payload",
    [
        torch.nn.Linear(1, 1),
        {"weights": torch.zeros(1)},
        {"fingerprint": "aa", "step": "1", "state": {}},
        b"no archive",
    ],
    ids=["an object", "a state of something else", "a step of another type", "bytes"],
)
def test_what_is_no_checkpoint_is_one_line(store, tmp_path, payload):
    buffer = io.BytesIO()
    if isinstance(payload, bytes):
        buffer.write(payload)
    else:
        torch.save(payload, buffer)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest().encode()
    (tmp_path / "step-000000000001.ckpt").write_bytes(b"PARSEC checkpoint 1\n" + digest + b"\n" + buffer.getvalue())
    with pytest.raises(CheckpointError, match="something else than a checkpoint of parsec") as caught:
        store.load()
    assert "weights_only" not in str(caught.value)
