"""Building kernels ahead: every launch's variant is built by exactly one process, from stand-ins for its tensors."""

import pytest
import torch

from parsec.bench.kernel_builds import Case, _build_share
from parsec.config.training import Network

jit = pytest.importorskip("triton.runtime.jit")
CASES = [Case(Network(cells=3, channels=4), 8, 2, s, rounded) for s, rounded in ((1, False), (2, True))]


@pytest.fixture
def built(monkeypatch):
    """Builds that Triton is asked for, as (kernel, types of arguments)."""
    asked = []

    def run(kernel, *args, grid, warmup, **named):
        assert warmup, "built, not run"
        assert not any(isinstance(each, torch.Tensor) for each in (*args, *named.values()))
        assert {each.data_ptr() % 16 for each in args if hasattr(each, "data_ptr")} <= set(range(16))
        asked.append((kernel.fn.__name__, *(getattr(each, "dtype", each) for each in args), *sorted(named.items())))

    monkeypatch.setattr(jit.JITFunction, "run", run)
    return asked


def test_processes_share_the_builds(built):
    assert _build_share(CASES, 0, 1) == len(built)
    of_one = sorted(map(repr, built))
    built.clear()
    counts = [_build_share(CASES, rank, 3) for rank in range(3)]
    assert min(counts) > 0
    assert sum(counts) == len(of_one)
    assert sorted(map(repr, built)) == of_one
    assert {torch.float32, torch.bfloat16} <= {
        each for build in built for each in build if isinstance(each, torch.dtype)
    }
