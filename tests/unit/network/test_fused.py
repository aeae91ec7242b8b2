"""The Triton kernels without a GPU: their values in Triton's interpreter, and that they build for Hopper."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
HERE = Path(__file__).parent
ROOT = HERE.parents[2]


def run(command, **environment):
    """Run in a process of its own: whether Triton interprets is settled when a kernel is defined."""
    paths = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_kernels_equal_reference_in_interpreter():
    file = HERE / "fused_in_interpreter.py"
    command = [sys.executable, "-m", "pytest", "-q", "-W", "ignore", "-p", "no:cacheprovider", str(file)]
    run(command, TRITON_INTERPRET="1")


def test_kernels_build_for_hopper(tmp_path):
    built = run(
        [sys.executable, str(HERE / "fused_for_hopper.py")], TRITON_CACHE_DIR=str(tmp_path), TRITON_INTERPRET="0"
    )
    defined = {
        line.split("(")[0].removeprefix("def ")
        for file in (ROOT / "parsec/network/kernels/fused").glob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith("def ") and "_kernel(" in line
    }
    assert {line.split()[0] for line in built.splitlines()} == defined
