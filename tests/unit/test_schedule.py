"""Schedules against PyTorch's own, stepped once an epoch as the DARTS code does."""

import pytest
import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, StepLR

from parsec.config.training import Optimizer
from parsec.runtime.optim import drop_path, learning_rate


def reference(make_scheduler, initial, epochs):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=initial)
    scheduler, rates = make_scheduler(optimizer), []
    for _ in range(epochs):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


def test_cosine_is_the_one_of_darts():
    settings = Optimizer(learning_rate=0.025, final_learning_rate=0.001)
    expected = reference(lambda o: CosineAnnealingLR(o, 600, eta_min=0.001), 0.025, 600)
    assert [learning_rate(settings, e, 600) for e in range(600)] == pytest.approx(expected, rel=1e-6)


def test_exponential_schedule_matches_darts_on_imagenet():
    settings = Optimizer(learning_rate=0.1, schedule="exponential", decay=0.97)
    expected = reference(lambda o: StepLR(o, 1, gamma=0.97), 0.1, 250)
    assert [learning_rate(settings, e, 250) for e in range(250)] == pytest.approx(expected, rel=1e-6)


def test_drop_path_rises_linearly_from_zero():
    assert [drop_path(0.2, epoch, 4) for epoch in range(4)] == pytest.approx([0, 0.05, 0.1, 0.15])
