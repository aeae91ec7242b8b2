"""Executor `sequential`: the online gradient of K children against two explicit passes, in the memory of one."""

import contextlib
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from parsec.config.training import Network
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.device import peak_bytes
from parsec.search.estimator import effective_sample_size, importance_weights
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.sequential import SequentialExecutor

CPU = torch.device("cpu")
SIDE, BATCH, CLASSES = 8, 6, 5


def executor(dtype=torch.float64, channels=4, autocast=contextlib.nullcontext):
    network = Network(cells=3, channels=channels)
    return SequentialExecutor(Supernet(network, CLASSES, torch.Generator().manual_seed(0), dtype=dtype), autocast)


def batch(dtype=torch.float64, count=BATCH, side=SIDE, layout=torch.channels_last):
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, side, side, generator=rng, dtype=torch.float64).to(dtype, memory_format=layout)
    return images, torch.randint(CLASSES, (count,), generator=rng)


@pytest.fixture
def children(random_genotype):
    """Six random architectures."""
    return ArchitectureBatch.of([random_genotype(seed) for seed in range(6)])


def two_passes(one, children, images, labels, temperature):
    """Loss, effective sample size and gradient from a first pass for ω and a second one for the gradient."""
    weights = importance_weights(one.log_likelihoods(children, images, labels), temperature)
    gradient = one.supernet.weights.gradient.zero_()
    losses = [F.cross_entropy(one.supernet(child, images), labels) for child in children.genotypes]
    loss = sum(weight * each for weight, each in zip(weights, losses, strict=True))
    loss.backward()
    return loss.detach(), effective_sample_size(weights), gradient.clone()


@pytest.mark.parametrize("temperature", [0.01, 1.0, float(BATCH), 1e6])
@pytest.mark.parametrize("order", [1, -1])
def test_gradient_equals_two_passes(children, temperature, order):
    one, (images, labels) = executor(), batch()
    loss, size, gradient = two_passes(one, children, images, labels, temperature)
    one.supernet.weights.gradient.fill_(99.0)
    seen = weighted_backward(
        one, children if order > 0 else ArchitectureBatch(children.table.flip(0)), images, labels, temperature
    )
    torch.testing.assert_close(seen.loss, loss, rtol=1e-12, atol=0)
    assert not seen.loss.requires_grad
    torch.testing.assert_close(seen.effective_sample_size, size, rtol=1e-12, atol=0)
    accumulated, scale = one.supernet.weights.gradient, float(gradient.abs().max())
    torch.testing.assert_close(accumulated, gradient, rtol=0, atol=1e-12 * scale)


def test_single_architecture_is_plain_training(children):
    one, (images, labels) = executor(), batch()
    gradient = one.supernet.weights.gradient.zero_()
    F.cross_entropy(one.supernet(children.genotypes[0], images), labels).backward()
    expected = gradient.clone()
    seen = weighted_backward(one, children[:1], images, labels)
    torch.testing.assert_close(gradient, expected, rtol=0, atol=1e-13 * float(expected.abs().max()))
    assert float(seen.effective_sample_size) == 1.0


def test_log_likelihoods_sum_over_minibatch(children):
    one, (images, labels) = executor(dtype=torch.float32), batch(torch.float32)
    log_likelihoods = one.log_likelihoods(children, images, labels)
    expected = [
        one.logits(child, images).double().log_softmax(1)[range(BATCH), labels].sum() for child in children.genotypes
    ]
    torch.testing.assert_close(log_likelihoods, torch.stack(expected).detach())
    assert log_likelihoods.dtype == torch.float64


def test_log_likelihoods_leave_gradients(children):
    one, (images, labels) = executor(), batch()
    assert not one.log_likelihoods(children, images, labels).requires_grad
    assert not one.supernet.weights.gradient.any()
    weighted_backward(one, children, images, labels)
    before = one.supernet.weights.gradient.clone()
    one.log_likelihoods(children, images, labels)
    assert torch.equal(one.supernet.weights.gradient, before)


def test_forward_uses_autocast(children):
    entered = []

    @contextlib.contextmanager
    def autocast():
        entered.append(True)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            yield

    one, (images, labels) = executor(torch.float32, autocast=autocast), batch(torch.float32)
    logits = one.logits(children.genotypes[0], images)
    assert logits.dtype == torch.float32, "logits are exponentiated and must not be rounded to bfloat16"
    assert not torch.equal(logits, one.supernet(children.genotypes[0], images)), "activations are bfloat16"
    seen = weighted_backward(one, children, images, labels, temperature=1e3)
    one.log_likelihoods(children, images, labels)
    assert len(entered) == 1 + 2 * len(children)
    assert seen.loss.dtype == torch.float64
    rounded = one.supernet.weights.gradient.clone()
    assert rounded.dtype == torch.float32
    exact = SequentialExecutor(one.supernet, contextlib.nullcontext)
    weighted_backward(exact, children, images, labels, temperature=1e3)
    assert 0.9 < torch.cosine_similarity(rounded, one.supernet.weights.gradient, dim=0) < 1.0


def test_memory_of_one_architecture(children):
    one, (images, labels) = executor(torch.float32), batch(torch.float32, count=64)

    def peak(some):
        return peak_bytes(lambda: weighted_backward(one, some, images, labels), CPU)

    peak(children)  # the views of the weights are made once
    largest = max(peak(ArchitectureBatch.of([child])) for child in children.genotypes)
    assert peak(children) <= 1.05 * largest
    assert peak_bytes(lambda: one.log_likelihoods(children, images, labels), CPU) < 0.5 * largest


class Casts(TorchDispatchMode):
    """Counts what is rounded to bfloat16."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        rounded = func.overloadpacket is torch.ops.aten._to_copy and kwargs.get("dtype") == torch.bfloat16
        self.count += rounded and args[0].dtype == torch.float32
        return func(*args, **(kwargs or {}))


def test_architectures_share_rounded_weights(children):
    """Only activations are rounded again for each, and kernels that are cut to small maps."""
    one = executor(torch.float32, autocast=partial(torch.autocast, "cpu", dtype=torch.bfloat16))
    images, labels = batch(torch.float32)
    [child, *_] = children.genotypes
    for run in (one.log_likelihoods, partial(weighted_backward, one)):
        counts = {}
        for count in (1, 4):
            with Casts() as casts:
                run(ArchitectureBatch.of([child] * count), images, labels)
            counts[count] = casts.count
        assert 20 < counts[4] < 1.5 * counts[1]
