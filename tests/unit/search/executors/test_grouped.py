"""Executor `grouped` equals executor `sequential` for any number of architectures and any sharing among them."""

import contextlib

import pytest
import torch

from parsec.config.training import Network
from parsec.network.supernet import Supernet, stacked_logits
from parsec.prior.distribution import ArchitectureBatch
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.sequential import SequentialExecutor

CLASSES, COUNT = 5, 6


def supernet(stem="cifar", cells=4, dtype=torch.float64):
    return Supernet(Network(stem=stem, cells=cells, channels=4), CLASSES, torch.Generator().manual_seed(0), dtype=dtype)


def batch(side, layout=torch.channels_last, dtype=torch.float64):
    rng = torch.Generator().manual_seed(1)
    images = torch.randn(COUNT, 3, side, side, generator=rng, dtype=torch.float64).to(dtype, memory_format=layout)
    return images, torch.randint(CLASSES, (COUNT,), generator=rng)


def outcome(executor, children, images, labels, temperature=8.0):
    """Everything that a step takes from an executor: log-likelihoods, loss, effective sample size, gradient of v."""
    log_likelihoods = executor.log_likelihoods(children, images, labels)
    executor.supernet.weights.gradient.fill_(99.0)
    seen = weighted_backward(executor, children, images, labels, temperature)
    return log_likelihoods, *seen, executor.supernet.weights.gradient.clone()


def assert_same(result, expected):
    for one, other in zip(result, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12 * float(other.detach().abs().max()))


@pytest.mark.parametrize("in_flight", [1, 2, 3, 5, 8])
@pytest.mark.parametrize(("stem", "side"), [("cifar", 8), ("cifar", 7), ("imagenet", 33)])
def test_grouped_equals_sequential(random_genotype, in_flight, stem, side):
    children = ArchitectureBatch.of([random_genotype(seed) for seed in range(5)])
    net, minibatch = supernet(stem), batch(side)
    result = outcome(GroupedExecutor(net, contextlib.nullcontext, in_flight), children, *minibatch)
    assert_same(result, outcome(SequentialExecutor(net, contextlib.nullcontext), children, *minibatch))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("temperature", [0.01, 1.0, 1e6])
def test_any_layout_and_temperature(random_genotype, layout, temperature):
    children, net = ArchitectureBatch.of([random_genotype(seed) for seed in range(3)]), supernet(cells=3)
    result = outcome(GroupedExecutor(net, contextlib.nullcontext, 3), children, *batch(6, layout), temperature)
    expected = outcome(
        SequentialExecutor(net, contextlib.nullcontext), children, *batch(6, torch.contiguous_format), temperature
    )
    assert_same(result, expected)


@pytest.mark.parametrize(
    "primitive",
    ["max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"],
)
def test_every_operation_at_both_strides(uniform_genotype, random_genotype, primitive):
    """A child of one primitive everywhere beside another, so that both ends of every sharing are met."""
    children, net = ArchitectureBatch.of([uniform_genotype(primitive), random_genotype(0)]), supernet()
    minibatch = batch(8)
    result = outcome(GroupedExecutor(net, contextlib.nullcontext, 2), children, *minibatch)
    assert_same(result, outcome(SequentialExecutor(net, contextlib.nullcontext), children, *minibatch))


def test_equal_architectures_run_once(random_genotype, monkeypatch):
    child, other = random_genotype(0), random_genotype(1)
    widths = []
    monkeypatch.setattr(
        Supernet, "classify", lambda self, x, plain=Supernet.classify: (widths.append(x.shape[1]), plain(self, x))[1]
    )
    net, (images, labels) = supernet(), batch(8)
    logits = stacked_logits(net, [child, other, child, child], images)
    assert widths == [2]
    assert torch.equal(logits[0], logits[2])
    assert_same([logits[1]], [net(other, images)])
    children = ArchitectureBatch.of([child, other, child, child])
    result = outcome(GroupedExecutor(net, contextlib.nullcontext, 4), children, images, labels)
    assert_same(result, outcome(SequentialExecutor(net, contextlib.nullcontext), children, images, labels))


def test_bfloat16_activations_float32_logits(random_genotype):
    net, (images, labels) = supernet(dtype=torch.float32), batch(8, dtype=torch.float32)
    children = ArchitectureBatch.of([random_genotype(seed) for seed in range(3)])
    autocast = lambda: torch.autocast("cpu", dtype=torch.bfloat16)  # noqa: E731
    grouped = GroupedExecutor(net, autocast, 3)
    logits = grouped.logits(children.genotypes[0], images)
    assert logits.dtype == torch.float32
    assert not torch.equal(logits, net(children.genotypes[0], images))
    weighted_backward(grouped, children, images, labels, temperature=1e3)
    rounded = net.weights.gradient.clone()
    assert rounded.dtype == torch.float32
    weighted_backward(GroupedExecutor(net, contextlib.nullcontext, 3), children, images, labels, temperature=1e3)
    assert 0.9 < torch.cosine_similarity(rounded, net.weights.gradient, dim=0) < 1.0


@pytest.mark.parametrize(
    "make", [SequentialExecutor, lambda *a, **k: GroupedExecutor(*a, in_flight=2, **k)], ids=["sequential", "grouped"]
)
def test_skipping_negligible_keeps_the_gradient(random_genotype, make):
    """At so low a temperature all weight is on one child; the others' backward passes cannot change its gradient."""
    children, net, (images, labels) = ArchitectureBatch.of([random_genotype(s) for s in range(6)]), supernet(), batch(8)
    plain, skipping = make(net, contextlib.nullcontext), make(net, contextlib.nullcontext, skip_negligible=True)
    expected = outcome(plain, children, images, labels, 1e-4)
    assert_same(outcome(skipping, children, images, labels, 1e-4), expected)
    assert plain.backward_passes == 6
    assert 0 < skipping.backward_passes < 6
    before = skipping.backward_passes
    outcome(skipping, children, images, labels, 1e6)
    assert skipping.backward_passes == before + 6, "children of like weight all count"
