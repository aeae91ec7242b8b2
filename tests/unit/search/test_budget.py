"""One budget for all methods: what they spend fits into it, and one epoch more would not."""

from statistics import fmean

import pytest
from searches import advance

from parsec.config.search import Estimator, RandomSearch, Warmup
from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network.spaces import child_cost
from parsec.search import budget
from parsec.search.methods import METHODS
from parsec.space.nasbench201 import architectures
from parsec.space.spaces import SPACES

SMALL = {"random": RandomSearch(candidates=3, architectures=50, epochs=2), "network": Network(cells=3, channels=2)}


def within_budget(task):
    return budget.within_budget(task, METHODS[task.job.method])


def spend(task):
    method = METHODS[task.job.method](task)
    advance(method)
    return method.forward_images, method.epochs


@pytest.mark.parametrize("warmup", [0, 1])
@pytest.mark.parametrize("method", METHODS)
def test_method_spends_its_budget_only(make_task, method, warmup):
    limit = 3000
    task = make_task(method=method, budget=limit, warmup=Warmup(epochs=warmup), **SMALL)
    spent, epochs = spend(within_budget(task))
    longer = within_budget(make_task(method=method, budget=2 * limit, warmup=Warmup(epochs=warmup), **SMALL))
    more, more_epochs = spend(longer)
    each = (more - spent) / (more_epochs - epochs)
    unit = each * (SMALL["random"].epochs if method == "random" else 1)
    assert limit - unit < spent <= limit


@pytest.mark.parametrize("method", METHODS)
def test_budget_below_one_epoch_fails(make_task, method):
    with pytest.raises(SettingsError, match=r"search.budget: got 10; \w+ needs \d+ or more"):
        within_budget(make_task(method=method, budget=10, **SMALL))


def test_budget_counts_warmup_samples(make_task):
    few = Warmup(epochs=2, samples=1)
    task = within_budget(make_task(budget=3000, warmup=few, estimator=Estimator(samples=4)))
    spent, _ = spend(task)
    # Of 3,000 images two epochs of one sample take 2 · 48, and every later one 2 · 4 · 48.
    assert task.job.settings.epochs == 2 + (3000 - 2 * 48) // (2 * 4 * 48)
    assert spent == 2 * 48 + (task.job.settings.epochs - 2) * 2 * 4 * 48


def test_no_budget_keeps_the_task(make_task):
    task = make_task()
    assert within_budget(task) is task


def test_mixed_op_cost_on_nasbench201():
    space, network, size = SPACES["nasbench201"], Network(cells=3, channels=4), (10, 32)
    every = [child_cost(arch, network, *size).multiply_adds for arch in architectures()]
    empty, mean = min(every), fmean(every)
    assert budget.relative_cost(space, network, *size, samples_one_op=True) == pytest.approx(1.0, rel=0.05)
    # All five primitives on every edge: five times what a child's edges take on average.
    assert budget.relative_cost(space, network, *size, samples_one_op=False) == pytest.approx(
        (empty + 5 * (mean - empty)) / mean, rel=0.05
    )


def test_mixed_op_cost_on_darts():
    size = (SPACES["darts"], Network(cells=3, channels=4), 10, 32)
    path, mixture = budget.relative_cost(*size, samples_one_op=True), budget.relative_cost(*size, samples_one_op=False)
    assert 1.0 < path < 14 / 8
    assert mixture > 5 * path


@pytest.mark.parametrize("method", METHODS)
def test_device_days_stop_after_current_epoch(make_task, method):
    task = make_task(method=method, epochs=50, device_days=1e-9, **SMALL)
    trainer = METHODS[method](task)
    advance(trainer)
    # Of three candidates all are finalists.
    selected = 2 * SMALL["random"].candidates if method == "random_ws" else 0
    # Random search trains its first architecture to the end, for two epochs, because there is nothing to select before.
    epochs = SMALL["random"].epochs if method == "random" else 1
    assert trainer.step == 3 * epochs + selected
    assert trainer.history[1][:2] == (1, 3)
    assert method != "random" or trainer.best is not None
    resumed = METHODS[method](task)
    resumed.load_state_dict(trainer.state_dict())
    assert (resumed.total_steps, resumed.epoch) == (trainer.step, trainer.epoch)


def test_device_days_over_during_selection_do_not_repeat_it(make_task):
    trainer = METHODS["random_ws"](make_task(method="random_ws", device_days=1.0, **SMALL))
    steps = trainer.total_steps
    while trainer.step < trainer.total_steps:
        trainer.advance()
        if trainer.step == trainer._training_steps:
            trainer._device_seconds = 2 * 86_400.0
    assert trainer.step == steps


def test_unused_device_days_change_nothing(make_task):
    trainer = METHODS["parsec"](make_task(device_days=1.0))
    advance(trainer)
    assert trainer.step == 6
