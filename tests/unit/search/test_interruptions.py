"""Searches that are stopped, killed or continued from damaged state end with the bytes of an undisturbed one."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from parsec.errors import CheckpointError
from parsec.runtime.checkpoint import checkpoint_files
from parsec.search.methods import METHODS
from parsec.search.stepwise import Stepwise
from parsec.settings.jobs import as_json
from parsec.settings.methods import RandomSearch
from parsec.settings.training import Network


@pytest.fixture
def interrupted(start, tmp_path, monkeypatch):
    """A function name → state folder of a tiny search that was stopped after its third step."""

    def run(name, method="parsec", **changes):
        advance = Stepwise.advance

        def limited(trainer):
            if trainer.step == 3:
                raise KeyboardInterrupt
            return advance(trainer)

        with monkeypatch.context() as patch:
            patch.setattr(Stepwise, "advance", limited)
            with pytest.raises(KeyboardInterrupt):
                start(name, method=method, **changes)
        return tmp_path / "state" / name

    return run


def test_a_checkpoint_of_other_settings_seed_or_start_is_refused(start, interrupted, digits, tmp_path):
    interrupted("a")
    for changes in ({"batch_size": 8}, {"seed": 1}, {"network": Network(cells=3, channels=4)}):
        with pytest.raises(CheckpointError, match="belongs to settings"):
            start("a", **changes)
    assert start("a").exists()


def test_corrupt_checkpoints(start, interrupted, tmp_path):
    expected = (start("undisturbed") / "pi.parquet").read_bytes()
    state = interrupted("a")
    files = checkpoint_files(state)
    assert len(files) == 2
    files[1].write_bytes(files[1].read_bytes()[:1000])
    assert (start("a") / "pi.parquet").read_bytes() == expected
    for path in checkpoint_files(interrupted("b")):
        path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged, like all before it"):
        start("b")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_search_that_was_cut_off_ends_with_the_same_bytes(start, interrupted, method):
    changes = {
        "method": method,
        "space": "nasbench201",
        "random": RandomSearch(candidates=3, architectures=3, epochs=1),
    }
    interrupted("cut", **changes)
    undisturbed, cut = start("undisturbed", **changes), start("cut", **changes)
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (cut / name).read_bytes() == (undisturbed / name).read_bytes()
    found, expected = (json.loads((folder / "result.json").read_text()) for folder in (cut, undisturbed))
    assert found["cost"]["restarts"] == 1
    for key in ("genotype", "entropy", "mode_accuracy", "selection", "children", "child_images"):
        assert found[key] == expected[key]


def wait_for(path, rows, process, seconds=300):
    """Wait until a file has so many lines and the process has not ended."""
    for _ in range(seconds * 50):
        if path.exists() and path.read_bytes().count(b"\n") >= rows:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    raise AssertionError(f"{path} has too few rows after {seconds} s")


def continued(process):
    """The lines of a process, of which the first says where it continued."""
    lines = process.communicate()[1].strip().splitlines()
    assert "continues after step" in lines[0], lines
    return lines


def test_signals_and_kills_change_no_byte(start, digits, make_job, tmp_path):
    """A real process, stopped by SIGTERM, continued and killed with SIGKILL, continued to the end."""
    state, output = tmp_path / "killed-state", tmp_path / "killed"
    command = [sys.executable, "-m", "parsec", "search", "--settings", as_json(make_job(epochs=6)), "--data", digits]
    command += ["--seed", "0", "--output", output, "--state", state, "--threads", "1"]

    def begin(checkpoint_seconds):
        environment = {**os.environ, "PARSEC_CHECKPOINT_SECONDS": checkpoint_seconds}
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)

    process = begin("600")
    wait_for(state / "metrics.jsonl", 3, process)
    process.send_signal(signal.SIGTERM)
    lines = process.communicate()[1].strip().splitlines()
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command continues" in lines[-1]
    assert not any("Traceback" in line for line in lines)

    process = begin("0.0")
    wait_for(state / "metrics.jsonl", (state / "metrics.jsonl").read_bytes().count(b"\n") + 3, process)
    process.kill()
    continued(process)
    assert process.returncode == -signal.SIGKILL
    assert not output.exists()

    process = begin("600")
    continued(process)
    assert process.returncode == 0
    assert not state.exists()
    assert json.loads((output / "result.json").read_text())["cost"]["restarts"] == 2
    torch.set_num_threads(1)
    undisturbed = start("undisturbed", epochs=6)
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (output / name).read_bytes() == (undisturbed / name).read_bytes()
