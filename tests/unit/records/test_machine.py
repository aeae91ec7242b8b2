"""The description of machine and versions: complete, plain JSON, and silent about who and where."""

import json
import os
import platform
import subprocess
import sys

from parsec.records import provenance as described


def test_machine_names_no_host():
    document = described.machine()
    text = json.dumps(document)
    assert document["cores"] == len(os.sched_getaffinity(0))
    assert document["memory_bytes"] > 2**28
    assert document["cpu"]
    assert platform.node() not in text


def test_gpu_comes_from_the_tool(monkeypatch, tmp_path):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA H100, 80 GB, 570.1'\necho 'NVIDIA H100, 80 GB, 570.1'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    described.gpu.cache_clear()
    assert described.gpu() == {"name": "NVIDIA H100, 80 GB", "driver": "570.1", "count": 2}
    tool.write_text("#!/bin/sh\nexit 9\n")
    described.gpu.cache_clear()
    assert described.gpu() is None
    described.gpu.cache_clear()


def test_versions_are_read_without_importing():
    script = (
        "import sys; from parsec.records.provenance import versions; found = versions(); "
        "assert 'torch' not in sys.modules; print(found['torch'], found['python'], found['numpy'])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    torch_version, python_version, numpy_version = done.stdout.split()
    assert torch_version[0].isdigit()
    assert numpy_version[0].isdigit()
    assert python_version == platform.python_version()
