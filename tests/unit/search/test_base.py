"""Rows of metrics, which are read together, and expected uses of operations under π."""

import itertools
import math

import pytest
import torch

from parsec.prior.distribution import Prior
from parsec.search import base
from parsec.search.base import MetricRows, expected_operations
from parsec.space.darts import CELLS, NODES, PRIMITIVES


def row(step, loss=1.0):
    return {"event": "step", "step": step, "samples": 4, "train_loss": torch.tensor(loss, dtype=torch.float64)}


def filled(*losses):
    rows = MetricRows()
    for step, loss in enumerate(losses, 1):
        rows.add(row(step, loss))
    return rows


def test_rows_come_once_as_numbers():
    rows = filled(1.5, 2.5)
    assert rows.latest == {}
    first = rows.take()
    assert [tuple(each) for each in first] == [("event", "step", "samples", "train_loss")] * 2
    assert [(each["step"], each["train_loss"]) for each in first] == [(1, 1.5), (2, 2.5)]
    assert all(type(each["train_loss"]) is float for each in first)
    rows.add(row(3))
    assert [each["step"] for each in rows.take()] == [3]
    assert rows.take() == []
    assert rows.latest["step"] == 3


def test_full_at_capacity():
    rows = filled(*[1.0] * (base.CAPACITY - 1))
    assert not rows.full
    rows.add(row(base.CAPACITY))
    assert rows.full
    rows.read()
    assert not rows.full


def test_epoch_means_ignore_read_times():
    at_once, often = filled(0.1, 0.2, 0.7), filled(0.1)
    for step, loss in ((2, 0.2), (3, 0.7)):
        often.take()
        often.add(row(step, loss))
    assert at_once.end_epoch(3) == often.end_epoch(3) == {"samples": 4.0, "train_loss": (0.1 + 0.2 + 0.7) / 3}
    assert at_once.end_epoch(3) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_first_bad_step_is_kept(bad):
    rows = filled(1.0, bad, 1.0, bad)
    assert rows.first_bad is None
    rows.read()
    assert rows.first_bad == 2


def test_state_holds_pending_rows():
    rows, again = filled(1.0, 2.0), MetricRows()
    again.load_state_dict(rows.state_dict())
    for each in (rows, again):
        each.add(row(3, 3.0))
    assert again.take() == rows.take()
    assert again.end_epoch(3) == rows.end_epoch(3)


def test_one_copy_per_read(monkeypatch):
    rows, stacked, stack = filled(*[1.0] * 20), [], torch.stack
    monkeypatch.setattr(torch, "stack", lambda values: stacked.append(len(values)) or stack(values))
    rows.read()
    rows.read()
    assert stacked == [20]


def uses_by_enumeration(prior, cell, node):
    """Expected uses of every operation at one node, summed over all choices of its factors."""
    places = [i for i, factor in enumerate(prior.factors) if (factor.cell, factor.node) == (cell, node)]
    choices = torch.tensor(list(itertools.product(*(range(len(prior.factors[i].choices)) for i in places))))
    # All other factors are as in one sample, which cancels when the probabilities are normalised.
    indices = prior.sample(1, torch.Generator().manual_seed(1)).repeat(len(choices), 1)
    indices[:, places] = choices
    probabilities = prior.log_prob(indices).softmax(0).tolist()
    uses = dict.fromkeys(PRIMITIVES, 0.0)
    for genotype, probability in zip(prior.children(indices).genotypes, probabilities, strict=True):
        for edge in getattr(genotype, cell)[node]:
            uses[edge.primitive] += probability
    return uses


def test_expected_operations_equal_enumeration():
    rng = torch.Generator().manual_seed(0)
    prior = Prior("separate", torch.randn(Prior().logits.shape, generator=rng, dtype=torch.float64))
    expected = expected_operations(prior)
    for cell in CELLS:
        nodes = [uses_by_enumeration(prior, cell, node) for node in range(NODES)]
        assert expected[cell] == pytest.approx({name: sum(uses[name] for uses in nodes) for name in PRIMITIVES})
