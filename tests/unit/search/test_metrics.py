"""Rows of steps: nothing is read before it must be, and then all in one go."""

import math

import pytest
import torch

from parsec.search import base
from parsec.search.base import MetricRows


def row(step, loss=1.0):
    return {"event": "step", "step": step, "samples": 4, "train_loss": torch.tensor(loss, dtype=torch.float64)}


def filled(*losses):
    rows = MetricRows()
    for step, loss in enumerate(losses, 1):
        rows.add(row(step, loss))
    return rows


def test_rows_come_once_in_order_with_numbers_in_the_place_of_tensors():
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


def test_it_is_full_at_its_capacity():
    rows = filled(*[1.0] * (base.CAPACITY - 1))
    assert not rows.full
    rows.add(row(base.CAPACITY))
    assert rows.full
    rows.read()
    assert not rows.full


def test_means_of_an_epoch_do_not_depend_on_when_rows_are_read():
    at_once, often = filled(0.1, 0.2, 0.7), filled(0.1)
    for step, loss in ((2, 0.2), (3, 0.7)):
        often.take()
        often.add(row(step, loss))
    assert at_once.end_epoch(3) == often.end_epoch(3) == {"samples": 4.0, "train_loss": (0.1 + 0.2 + 0.7) / 3}
    assert at_once.end_epoch(3) == {}


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_the_first_bad_step_is_kept(bad):
    rows = filled(1.0, bad, 1.0, bad)
    assert rows.first_bad is None
    rows.read()
    assert rows.first_bad == 2


def test_a_state_holds_rows_that_were_not_handed_over():
    rows, again = filled(1.0, 2.0), MetricRows()
    again.load_state_dict(rows.state_dict())
    for each in (rows, again):
        each.add(row(3, 3.0))
    assert again.take() == rows.take()
    assert again.end_epoch(3) == rows.end_epoch(3)


def test_one_copy_reads_them_all(monkeypatch):
    rows, stacked, stack = filled(*[1.0] * 20), [], torch.stack
    monkeypatch.setattr(torch, "stack", lambda values: stacked.append(len(values)) or stack(values))
    rows.read()
    rows.read()
    assert stacked == [20]
