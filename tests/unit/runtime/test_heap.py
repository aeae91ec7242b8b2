"""The C library keeps freed memory: a step that takes and frees as much as the one before costs no new pages."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, torch
from parsec.runtime.system import keep_freed_memory
assert not {keep} or keep_freed_memory()
def step():
    return len([torch.ones(2**21) for _ in range(20)])
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_blocks_are_used_again():
    faults = [
        int(subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, check=True).stdout)
        for keep in (False, True)
    ]
    assert faults[1] < 0.75 * faults[0]
