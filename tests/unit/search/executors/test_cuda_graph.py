"""Replaying captured steps, with a CUDA that runs a graph's step again on its buffers."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from parsec.config.training import Network
from parsec.network.supernet import Supernet
from parsec.prior.distribution import Prior
from parsec.search.executors import cuda_graph
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.cuda_graph import CapturedStep, CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.sequential import SequentialExecutor

CLASSES = 5


class Graph:
    """Stands for a CUDA graph; `step` is what it captured."""

    def replay(self):
        self.step()


class Capture:
    """Stands for `torch.cuda.graph`, which raises an error of its own when one broke the capture off."""

    def __init__(self, *args, **named):
        pass

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if error is not None:
            raise RuntimeError("capture ended by an error")


class Runner(CUDAGraphRunner):
    """Captures on a CPU."""

    _replays = True

    def _capture(self, step, inputs):
        captured = super()._capture(step, inputs)
        captured.graph.step = lambda: [
            buffer.copy_(value) for buffer, value in zip(captured.outputs, step(*captured.inputs), strict=True)
        ]
        return captured


@pytest.fixture(autouse=True)
def cuda(monkeypatch):
    stream = SimpleNamespace(wait_stream=lambda other: None)
    fake = SimpleNamespace(
        CUDAGraph=Graph,
        Stream=lambda device: stream,
        current_stream=lambda device: stream,
        stream=lambda stream: contextlib.nullcontext(),
        graph_pool_handle=lambda: (0, 1),
        graph=Capture,
    )
    monkeypatch.setattr(cuda_graph.torch, "cuda", fake)


@pytest.fixture
def executors():
    supernet = Supernet(Network(cells=3, channels=4), CLASSES, torch.Generator().manual_seed(0), dtype=torch.float64)
    context = contextlib.nullcontext
    return SequentialExecutor(supernet, context), Runner(FusedExecutor(supernet, context, 2))


def batch(seed, count):
    rng, prior = torch.Generator().manual_seed(seed), Prior()
    images = torch.randn(4, 3, 8, 8, generator=rng, dtype=torch.float64)
    labels = torch.randint(CLASSES, (4,), generator=rng)
    return prior.children(prior.sample(count, rng)), images, labels


def test_replays_equal_sequential_steps(executors):
    sequential, runner = executors
    gradient = sequential.supernet.weights.gradient
    for seed, count in ((0, 5), (1, 5), (2, 3), (3, 5)):
        children, images, labels = batch(seed, count)
        expected = weighted_backward(sequential, children, images, labels, 2.0), gradient.clone()
        gradient.fill_(9.0)
        torch.testing.assert_close((weighted_backward(runner, children, images, labels, 2.0), gradient), expected)
        likelihoods = runner.log_likelihoods(children, images, labels)
        torch.testing.assert_close(likelihoods, sequential.log_likelihoods(children, images, labels))
    assert len(runner._captured) == 4, "one for each step and number of architectures"


def test_evaluation_is_replayed(executors):
    sequential, runner = executors
    for seed in range(3):
        children, images, _ = batch(seed, 1)
        [child] = children.genotypes
        torch.testing.assert_close(runner.logits(child, images), sequential.logits(child, images).detach())
    assert len(runner._captured) == 1


def test_failed_capture_raises_its_error_and_restores_gradient(executors, monkeypatch):
    _, runner = executors
    children, images, labels = batch(0, 2)
    gradient = runner.supernet.weights.gradient.fill_(3.0)
    add_gradients, calls = runner.fused.add_gradients, []

    def third_fails(*args):
        calls.append(args)
        add_gradients(*args)
        if len(calls) == 3:
            raise ValueError("in the capture")

    monkeypatch.setattr(runner.fused, "add_gradients", third_fails)
    with pytest.raises(ValueError, match="in the capture"):
        weighted_backward(runner, children, images, labels)
    assert torch.equal(gradient, torch.zeros_like(gradient)), "as it was when the step began"
    assert not runner._captured
    weighted_backward(runner, children, images, labels)
    assert isinstance(next(iter(runner._captured.values())), CapturedStep)
