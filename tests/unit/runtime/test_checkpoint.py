"""Checkpoints and metrics: exact, checked, bound to their settings, held by one process."""

import errno
import hashlib
import io
import json
import os
import zipfile
from collections import OrderedDict
from contextlib import closing
from pathlib import Path

import pytest
import torch

from parsec.errors import CheckpointError, UserError
from parsec.runtime.checkpoint import Checkpoints, MetricsFile, checkpoint_files


@pytest.fixture
def checkpoints(tmp_path):
    with Checkpoints(tmp_path, "aa") as opened:
        yield opened


def flip_bit(path, position):
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_nothing_saved_loads_none(checkpoints):
    assert checkpoints.load() is None


def test_state_is_restored_exactly(checkpoints):
    state = {
        "weights": OrderedDict(a=torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)),
        "list": [1, 0.1, "x", None, True, (2, torch.tensor(1.0, dtype=torch.float64))],
        7: b"bytes",
    }
    checkpoints.save(3, state)
    loaded = checkpoints.load()
    assert torch.equal(loaded["weights"]["a"], state["weights"]["a"])
    assert loaded["weights"]["a"].stride() == state["weights"]["a"].stride()
    assert loaded["list"] == state["list"]
    assert loaded[7] == b"bytes"


def test_file_opens_with_torch_load(checkpoints, tmp_path):
    checkpoints.save(3, {"weights": torch.arange(5)})
    path = tmp_path / "step-000000000003.pt"
    for mmap in (False, True):
        document = torch.load(path, weights_only=True, mmap=mmap)
        assert (document["fingerprint"], document["step"]) == ("aa", 3)
        assert torch.equal(document["state"]["weights"], torch.arange(5))
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.comment.decode() == hashlib.sha256(path.read_bytes()[:-64]).hexdigest()


def test_newest_of_two_kept_is_loaded(checkpoints, tmp_path):
    for step in (1, 2, 10):
        checkpoints.save(step, {"step": step})
    assert [path.name for path in checkpoint_files(tmp_path)] == ["step-000000000002.pt", "step-000000000010.pt"]
    assert checkpoints.load() == {"step": 10}


@pytest.mark.parametrize("content", [b"", b"hello\nworld\n", None])
def test_damaged_newest_falls_back(checkpoints, tmp_path, content, caplog):
    checkpoints.save(1, {"step": 1})
    checkpoints.save(2, {"step": 2})
    newest = checkpoint_files(tmp_path)[-1]
    newest.write_bytes(newest.read_bytes()[:-1] if content is None else content)
    with caplog.at_level("WARNING", logger="parsec"):
        assert checkpoints.load() == {"step": 1}
    assert "damaged" in caplog.text
    assert not newest.exists()
    assert newest.with_suffix(".damaged").exists()


def test_any_flipped_bit_is_detected(checkpoints, tmp_path):
    """Also in the weights, where `torch.load` would not notice it."""
    checkpoints.save(1, {"weights": torch.zeros(100)})
    (path,) = checkpoint_files(tmp_path)
    size = path.stat().st_size
    for position in [*range(0, size, size // 100), *range(size - 100, size)]:
        flip_bit(path, position)
        with pytest.raises(CheckpointError, match="damaged"):
            checkpoints.load()
        flip_bit(path, position)
    assert torch.equal(checkpoints.load()["weights"], torch.zeros(100))


def test_all_damaged_names_the_remedy(checkpoints, tmp_path):
    checkpoints.save(1, {})
    checkpoints.save(2, {})
    for path in checkpoint_files(tmp_path):
        flip_bit(path, -100)
    with pytest.raises(CheckpointError, match=r"step-0*2\.pt: damaged.*delete") as caught:
        checkpoints.load()
    assert "\n" not in str(caught.value)
    assert len(checkpoint_files(tmp_path)) == 2


def test_other_settings_are_refused(tmp_path):
    with Checkpoints(tmp_path, "aa") as checkpoints:
        checkpoints.save(1, {})
    with Checkpoints(tmp_path, "bb") as other, pytest.raises(CheckpointError, match="settings aa, not to these"):
        other.load()
    assert len(checkpoint_files(tmp_path)) == 1


def test_folder_in_use_is_refused(checkpoints, tmp_path):
    with pytest.raises(CheckpointError, match="another process"):
        Checkpoints(tmp_path, "aa")
    checkpoints.close()
    Checkpoints(tmp_path, "aa").close()


def test_full_disk_keeps_older_checkpoint(checkpoints, tmp_path, monkeypatch):
    checkpoints.save(1, {"step": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="no space left"):
        checkpoints.save(2, {"step": 2})
    assert checkpoints.load() == {"step": 1}
    assert not list(tmp_path.glob(".partial-*"))


def test_opening_removes_partial_files(tmp_path):
    (tmp_path / ".partial-0a1b2c3d-step-000000000001.pt").write_text("half")
    Checkpoints(tmp_path, "aa").close()
    assert not list(tmp_path.glob(".partial-*"))


def test_unloadable_state_is_not_saved(checkpoints, tmp_path):
    with pytest.raises(TypeError, match=r"state\['a'\]\[1\]: a checkpoint cannot hold a Path"):
        checkpoints.save(1, {"a": [0, type("Path", (), {})()]})
    assert not checkpoint_files(tmp_path)


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
def test_other_content_is_one_line(checkpoints, tmp_path, payload):
    file = io.BytesIO()
    if isinstance(payload, bytes):
        file.write(payload)
    else:
        torch.save(payload, file)
        file.seek(-2, io.SEEK_END)
        file.write(b"\x40\x00")
    file.write(hashlib.sha256(file.getvalue()).hexdigest().encode())
    (tmp_path / "step-000000000001.pt").write_bytes(file.getvalue())
    with pytest.raises(CheckpointError, match="is not a checkpoint of parsec") as caught:
        checkpoints.load()
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_metrics_are_appended_and_truncated(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with closing(MetricsFile(path)) as metrics:
        metrics.append([{"step": 1}, {"step": 2}])
        kept = metrics.position
        metrics.append([{"step": 3}])
    with closing(MetricsFile(path)) as metrics:
        assert metrics.position > kept
        metrics.truncate(kept)
        assert metrics.position == kept
        metrics.append([{"step": 4}])
        metrics.sync()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 4]


def test_non_finite_metrics_become_null(tmp_path):
    with closing(MetricsFile(tmp_path / "m")) as metrics:
        metrics.append([{"loss": float("nan"), "deep": {"x": [float("inf"), 1.5]}}])
    assert json.loads((tmp_path / "m").read_text()) == {"loss": None, "deep": {"x": [None, 1.5]}}


def test_metrics_shorter_than_recorded_are_refused(tmp_path):
    with closing(MetricsFile(tmp_path / "m")) as metrics, pytest.raises(CheckpointError, match="shorter"):
        metrics.truncate(10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_line():
    with closing(MetricsFile(Path("/dev/full"))) as metrics, pytest.raises(UserError, match="no space left"):
        metrics.append([{"step": 1}])
