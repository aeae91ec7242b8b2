"""Executor `table` against executor `one`, in float64 with the plain twins of the kernels."""

import contextlib

import pytest
import torch

from parsec.network.executors.one import One
from parsec.network.executors.protocol import accumulate
from parsec.network.executors.table import Table
from parsec.network.supernet import Supernet
from parsec.prior.children import Children
from parsec.settings.training import Network
from parsec.space.darts import NODES, PRIMITIVES
from parsec.space.genotype import genotype

CLASSES = 5


def executors(network, in_flight=None, dtype=torch.float64, autocast=contextlib.nullcontext):
    supernet = Supernet(network, CLASSES, torch.Generator().manual_seed(0), dtype=dtype)
    return One(supernet, autocast), Table(supernet, autocast, in_flight)


def batch(height, width, count=3, dtype=torch.float64):
    draws = torch.Generator().manual_seed(1)
    images = torch.randn(count, 3, height, width, generator=draws, dtype=torch.float64).to(dtype)
    return images, torch.randint(CLASSES, (count,), generator=draws)


def assert_equal(one, table, children, images, labels, temperature):
    """The same log-likelihoods, logits, loss, effective sample size, and gradient of every weight."""
    expected = one.log_likelihoods(children, images, labels)
    torch.testing.assert_close(table.log_likelihoods(children, images, labels), expected, rtol=1e-10, atol=0)
    logits = one.logits(children.genotypes[-1], images).detach()
    torch.testing.assert_close(table.logits(children.genotypes[-1], images), logits, rtol=1e-10, atol=1e-12)
    seen = accumulate(one, children, images, labels, temperature)
    gradient = one.supernet.bank.gradient.clone()
    one.supernet.bank.gradient.fill_(99.0)
    found = accumulate(table, children, images, labels, temperature)
    torch.testing.assert_close(found, seen, rtol=1e-10, atol=0)
    scale = float(gradient.abs().max())
    torch.testing.assert_close(table.supernet.bank.gradient, gradient, rtol=1e-9, atol=1e-12 * scale)
    assert torch.equal(table.supernet.bank.gradient == 0, gradient == 0), "weights that no child uses stay untouched"


@pytest.mark.parametrize("in_flight", [1, 3, None])
@pytest.mark.parametrize(
    ("stem", "sides", "cells"), [("cifar", (8, 8), 3), ("cifar", (7, 5), 4), ("imagenet", (33, 36), 3)]
)
def test_same_numbers_as_one(random_genotype, in_flight, stem, sides, cells):
    one, table = executors(Network(cells=cells, channels=4, stem=stem), in_flight)
    children = Children.of([random_genotype(seed) for seed in range(5)])
    assert_equal(one, table, children, *batch(*sides), temperature=3.0)


@pytest.mark.parametrize("primitive", PRIMITIVES)
def test_every_primitive_at_every_edge_and_twice_at_one(primitive, uniform_genotype):
    """Both slots of a node with one primitive and one input share their weights, whose gradients add up."""
    cell = [(primitive, source) for node in range(NODES) for source in (node + 1, node + 1)]
    mixed = [(primitive, 0), (primitive, 0)] * NODES
    children = Children.of([uniform_genotype(primitive), genotype(cell, mixed), genotype(mixed, cell)])
    one, table = executors(Network(cells=3, channels=4))
    assert_equal(one, table, children, *batch(6, 6), temperature=1.0)
