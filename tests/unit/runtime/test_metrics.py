"""The metrics file: grows by rows, goes back to a position."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from parsec.errors import CheckpointError, UserError
from parsec.runtime.checkpoint import MetricsFile


def test_rows_are_appended_over_reopening_and_cut_back(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with closing(MetricsFile(path)) as metrics:
        metrics.append([{"step": 1}, {"step": 2}])
        kept = metrics.position
        metrics.append([{"step": 3}])
    with closing(MetricsFile(path)) as metrics:
        assert metrics.position > kept
        metrics.truncate(kept)
        metrics.append([{"step": 4}])
        metrics.sync()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 4]


def test_numbers_that_json_cannot_hold_become_null(tmp_path):
    with closing(MetricsFile(tmp_path / "m")) as metrics:
        metrics.append([{"loss": float("nan"), "deep": {"x": [float("inf"), 1.5]}}])
    assert json.loads((tmp_path / "m").read_text()) == {"loss": None, "deep": {"x": [None, 1.5]}}


def test_file_shorter_than_its_checkpoint_is_refused(tmp_path):
    with closing(MetricsFile(tmp_path / "m")) as metrics, pytest.raises(CheckpointError, match="shorter"):
        metrics.truncate(10)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_disk_is_one_line():
    with closing(MetricsFile(Path("/dev/full"))) as metrics, pytest.raises(UserError, match="no space left"):
        metrics.append([{"step": 1}])
