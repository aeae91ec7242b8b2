"""Searches that are stopped, killed or continued from damaged state end with the bytes of an undisturbed one."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from job_file import job_file
from processes import caught, rows

from parsec.config.base import as_json
from parsec.config.search import RandomSearch
from parsec.config.training import Network
from parsec.errors import CheckpointError
from parsec.runtime.checkpoint import checkpoint_files
from parsec.search.base import SearchTrainer
from parsec.search.methods import METHODS


@pytest.fixture
def interrupted(start, tmp_path, monkeypatch):
    """A function name → state folder of a tiny search that was stopped after its third step."""

    def run(name, method="parsec", **changes):
        advance = SearchTrainer.advance

        def limited(trainer):
            if trainer.step == 3:
                raise KeyboardInterrupt
            return advance(trainer)

        with monkeypatch.context() as patch:
            patch.setattr(SearchTrainer, "advance", limited)
            with pytest.raises(KeyboardInterrupt):
                start(name, method=method, **changes)
        return tmp_path / "state" / name

    return run


def test_checkpoint_of_other_run_fails(start, interrupted):
    interrupted("a")
    for changes, named in (
        ({"batch_size": 8}, r"settings\.batch_size \(16, now 8\)"),
        ({"network": Network(cells=3, channels=4)}, r"settings\.network\.channels \(2, now 4\)"),
    ):
        with pytest.raises(CheckpointError, match=f"changed since: {named}"):
            start("a", **changes)
    with pytest.raises(CheckpointError, match=r"changed since: seed \(0, now 1\)"):
        start("a", seed=1)
    assert start("a").exists()


def test_corrupt_checkpoints(start, interrupted):
    expected = (start("undisturbed") / "pi.parquet").read_bytes()
    state = interrupted("a")
    files = checkpoint_files(state)
    assert len(files) == 2
    files[1].write_bytes(files[1].read_bytes()[:1000])
    assert (start("a") / "pi.parquet").read_bytes() == expected
    for path in checkpoint_files(interrupted("b")):
        path.write_bytes(b"nothing")
    with pytest.raises(CheckpointError, match="damaged, as are all earlier ones"):
        start("b")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_resumed_search_writes_equal_bytes(start, interrupted, method):
    changes = {
        "method": method,
        "space": "nasbench201",
        "random": RandomSearch(candidates=3, architectures=3, epochs=1),
    }
    interrupted("cut", **changes)
    undisturbed, cut = start("undisturbed", **changes), start("cut", **changes)
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (cut / name).read_bytes() == (undisturbed / name).read_bytes()
    resumed, expected = (json.loads((folder / "result.json").read_text()) for folder in (cut, undisturbed))
    assert resumed["cost"]["restarts"] == 1
    for key in ("genotype", "entropy", "mode_accuracy", "selection", "children", "forward_images"):
        assert resumed[key] == expected[key]


def continued(process):
    """The lines of a process, of which the first says where it continued."""
    lines = process.communicate()[1].strip().splitlines()
    assert "continues after step" in lines[0], lines
    return lines


def test_signals_and_kills_change_nothing(start, digits, make_job, tmp_path):
    """A real process, stopped by SIGTERM, continued and killed with SIGKILL, continued to the end."""

    def begin(name, checkpoint_seconds):
        command = [sys.executable, "-m", "parsec", "search", "--settings"]
        command += [job_file(tmp_path, as_json(make_job(epochs=6))), "--seed", "0"]
        command += ["--data", digits, "--output", tmp_path / name, "--state", tmp_path / f"{name}-state"]
        environment = {**os.environ, "PARSEC_CHECKPOINT_SECONDS": checkpoint_seconds}
        process = subprocess.Popen([*command, "--threads", "1"], stderr=subprocess.PIPE, text=True, env=environment)
        return process, tmp_path / f"{name}-state"

    with caught(lambda attempt: begin(f"stopped{attempt}", "600"), 3, 12) as (process, stopped):
        process.send_signal(signal.SIGTERM)
    lines = process.communicate()[1].strip().splitlines()
    assert process.returncode == 128 + signal.SIGTERM
    assert "the same command continues" in lines[-1]
    assert not any("Traceback" in line for line in lines)

    def again(attempt):
        shutil.copytree(stopped, tmp_path / f"killed{attempt}-state")
        return begin(f"killed{attempt}", "0.0")

    with caught(again, rows(stopped) + 3, 20) as (process, state):
        process.kill()
    continued(process)
    assert process.returncode == -signal.SIGKILL
    output = state.with_name(state.name.removesuffix("-state"))
    assert not output.exists()

    process, _ = begin(output.name, "600")
    continued(process)
    assert process.returncode == 0
    assert not state.exists()
    assert json.loads((output / "result.json").read_text())["cost"]["restarts"] == 2
    torch.set_num_threads(1)
    undisturbed = start("undisturbed", epochs=6)
    for name in ("pi.parquet", "trajectory.parquet", "genotype.json"):
        assert (output / name).read_bytes() == (undisturbed / name).read_bytes()
