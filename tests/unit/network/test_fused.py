"""The Triton kernels without a GPU: their values in Triton's interpreter, and what they cost when built for Hopper."""

import importlib.util
import json
import os
import shutil
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


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """What `fused_for_hopper.py` prints."""
    wheel = Path(importlib.util.find_spec("triton").origin).parent / "backends/nvidia/bin/cuobjdump"
    program = str(wheel) if wheel.exists() else shutil.which("cuobjdump")
    if program is None:
        pytest.skip("needs cuobjdump: neither in the Triton wheel nor of a CUDA toolkit")
    cache = str(tmp_path_factory.mktemp("builds"))
    printed = run(
        [sys.executable, str(HERE / "fused_for_hopper.py"), program], TRITON_CACHE_DIR=cache, TRITON_INTERPRET="0"
    )
    return json.loads(printed)


def test_kernels_build_for_hopper(report):
    """Nothing spills, and three programs of four warps fit on a multiprocessor."""
    defined = {
        line.split("(")[0].removeprefix("def ")
        for file in (ROOT / "parsec/network/kernels/fused").glob("*.py")
        for line in file.read_text().splitlines()
        if line.startswith("def ") and "_kernel(" in line
    }
    assert {build["kernel"] for build in report["builds"]} == defined
    for build in report["builds"]:
        assert build["stack"] == 0, build
        assert build["registers"] <= 168, build
        assert build["shared"] <= 100 * 1024, build


@pytest.mark.parametrize(
    ("kernel", "most"), [("depthwise_kernel", 84), ("input_gradient_kernel", 70), ("weight_gradient_kernel", 95)]
)
def test_instructions_of_a_tap(report, kernel, most):
    """Of a lane, for a tap of 16 numbers; these kernels are bound by them."""
    builds = {build["C"]: build for build in report["builds"] if build["kernel"] == kernel}
    assert set(builds) == {16, 36, 72, 144}
    for channels, build in builds.items():
        assert build["instructions"] <= most, build
        assert build["barriers"] == 0, build
        # Some lanes idle: of 128, those that make up no pixel; of chunks of 16 channels, those beyond the last one.
        chunks, lanes = -(-channels // 16) * 16, 128 // (channels // 4) * channels // 4
        used = channels / chunks if kernel == "weight_gradient_kernel" else lanes / 128
        assert build["instructions"] / 16 / used <= 6, build


def test_launches_and_bytes_of_an_iteration(report):
    """Golden numbers; PyTorch's own launches depend on its version."""
    assert {name: triton for name, (triton, _) in report["launches"].items()} == {"small": 1240, "fine-tune": 3016}
    assert sum(report["launches"]["small"]) <= 1500
    assert sum(report["launches"]["fine-tune"]) <= 3300
    # Maps around batch norm, which the kernels of 1 × 1 convolutions read on the way back: gradients and results.
    assert report["read"] == pytest.approx({"small": 3.40e9, "fine-tune": 23.42e9}, rel=0.01)
    assert report["written"] == pytest.approx({"small": 0.45e9, "fine-tune": 2.07e9}, rel=0.01)
