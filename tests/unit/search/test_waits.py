"""A step asks the device for no value: the same operations on a GPU would never be waited for."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from parsec.config.base import Compute
from parsec.prior.distribution import ArchitectureBatch
from parsec.search import parsec
from parsec.search.executors.build import build_executor
from parsec.search.parsec import Parsec
from parsec.space.published import DARTS_V1, DARTS_V2

READERS = ("tolist", "numpy", "cpu")


class Scalars(TorchDispatchMode):
    """Notes every operation that hands a value to the host: float(), int(), bool() and item() all end in the first."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        if operation in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default):
            self.seen.append(operation)
        return operation(*arguments, **(keywords or {}))


class AsOnDevice:
    """The settings' executor with children that it knows without reading them, as one driven by the device does."""

    device_driven = True

    def __init__(self, inner):
        self.supernet, self._inner = inner.supernet, inner
        self._all = ArchitectureBatch.of([DARTS_V1, DARTS_V2] * 8)
        assert self._all.genotypes

    def _known(self, children):
        return self._all[: len(children)]

    def logits(self, child, images):
        return self._inner.logits(child, images)

    def log_likelihoods(self, children, images, labels):
        return self._inner.log_likelihoods(self._known(children), images, labels)

    def add_gradients(self, children, images, labels, temperature, weights):
        self._inner.add_gradients(self._known(children), images, labels, temperature, weights)


def spied(monkeypatch):
    """The list into which goes what is read as a whole tensor, by the name of the method."""
    calls = []
    for name in READERS:
        method = getattr(torch.Tensor, name)

        def counted(tensor, *given, name=name, method=method):
            calls.append(name)
            return method(tensor, *given)

        monkeypatch.setattr(torch.Tensor, name, counted)
    return calls


def test_only_flush_reads(make_task, monkeypatch):
    """In the middle of an epoch of many steps, with an executor driven by the device."""
    monkeypatch.setattr(parsec, "build_executor", lambda *given: AsOnDevice(build_executor(*given)))
    compute = Compute(device="cpu", precision="float32", skip_negligible=False)
    search = Parsec(make_task(train_images=480, compute=compute))
    search.advance()
    search.flush()
    reads = spied(monkeypatch)
    with Scalars() as scalars:
        assert [search.advance() for _ in range(4)] == [[]] * 4
    assert (scalars.seen, reads) == ([], [])
    rows = search.flush()
    assert [row["step"] for row in rows] == [2, 3, 4, 5]
    assert reads == ["tolist"]
