"""The sampling trainer: its steps, its metrics, and continuing from any of them."""

import math
import re

import pytest
import torch
from searches import advance, equal, snapshot

from parsec.config.base import Compute
from parsec.config.search import Estimator, PriorOptimizer, SearchOptimizer, Warmup
from parsec.config.training import Network
from parsec.errors import DivergedError
from parsec.network.cell_network import network_cost
from parsec.prior.distribution import Prior
from parsec.search import base
from parsec.search.estimator import cost_share, importance_weights
from parsec.search.parsec import Parsec
from parsec.space.darts import PRIMITIVES
from parsec.space.factors import WEIGHTLESS, encode
from parsec.space.published import DARTS_V2


def events(rows, event):
    return [row for row in rows if row["event"] == event]


def test_resumes_exactly_from_any_step(make_task):
    """Every state leads to the next one, so that any of them leads to the end."""
    undisturbed = Parsec(make_task())
    for _ in range(undisturbed.total_steps):
        resumed = Parsec(make_task())
        resumed.load_state_dict(snapshot(undisturbed))
        assert resumed.step == undisturbed.step
        assert advance(resumed, 1) == advance(undisturbed, 1)
        assert equal(snapshot(resumed), snapshot(undisturbed))
    assert [entry[:2] for entry in undisturbed.history] == [(0, 0), (1, 3), (2, 6)]


def test_seed_determines_the_run(make_task):
    first, second, other = (advance(Parsec(make_task(seed=seed)), 2) for seed in (0, 0, 1))
    assert first == second
    assert first != other


def test_metrics_of_steps_and_epochs(make_task):
    trainer = Parsec(make_task())
    rows = advance(trainer)
    steps, epochs = events(rows, "step"), events(rows, "epoch")
    assert [(row["epoch"], row["step"]) for row in steps] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert [(row["epoch"], row["step"]) for row in epochs] == [(0, 0), (1, 3), (2, 6)]
    measured = {"entropy", "mode_accuracy", "operations", "skip_share", "genotype", "children", "forward_images"}
    assert set(epochs[0]) == {"event", "epoch", "step", *measured}
    assert epochs[0]["entropy"] == pytest.approx(50.285, abs=5e-4)
    for row, name in [(row, name) for row in steps for name in ("ess_prior", "ess_weights")]:
        assert 1 <= row[name] <= row["samples"] == 2
    for name in ("ess_prior", "ess_weights", "train_loss", "validation_loss", "samples"):
        assert epochs[2][name] == pytest.approx(sum(row[name] for row in steps[3:]) / 3)
    for row in epochs:
        assert 0 <= row["mode_accuracy"] <= 1
        for counts in row["operations"].values():
            assert set(counts) == set(PRIMITIVES)
            assert sum(counts.values()) == pytest.approx(8)
    assert (trainer.children, trainer.forward_images) == (6 * 2 * 2, 6 * 2 * 2 * 16)


def test_epoch_seconds_sum_over_steps(make_task, monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(base.time, "perf_counter", lambda: float(next(clock)))
    trainer = Parsec(make_task(epochs=1))
    rows = events([row for _ in range(3) for row in trainer.advance()], "epoch")
    assert rows[-1]["seconds"] == 3.0  # three steps, the clock read before and after each


def test_learning_rate_decays_once_per_epoch(make_task):
    rates = [row["learning_rate"] for row in events(advance(Parsec(make_task())), "step")]
    assert rates == pytest.approx([0.1] * 3 + [0.0505] * 3)


def test_the_weights_learn(make_task):
    """With π pinned to one architecture, so that a few steps suffice."""
    trainer = Parsec(make_task(epochs=6, network=Network(cells=3, channels=8)))
    with torch.no_grad():
        trainer.prior.logits[range(32), encode(DARTS_V2, "separate")] = 100.0
    assert trainer.genotype() == DARTS_V2
    epochs = events(advance(trainer), "epoch")
    assert epochs[-1]["train_loss"] < 0.8 * epochs[1]["train_loss"]
    assert epochs[-1]["mode_accuracy"] > 0.2


@pytest.mark.parametrize("cost_weight", [0.0, 0.5])
def test_prior_step_ascends_weighted_log_prob(make_task, monkeypatch, cost_weight):
    """Its gradient is that of Σ (ω − cost) log p of the children drawn, ω from a validation batch."""
    estimator = Estimator(samples=3, baseline="none", cost_weight=cost_weight, cost_target=20_000)
    trainer, seen = Parsec(make_task(estimator=estimator)), {}
    original = trainer.executor.log_likelihoods

    def spy(children, images, labels):
        seen.update(children=children, values=original(children, images, labels))
        return seen["values"]

    monkeypatch.setattr(trainer.executor, "log_likelihoods", spy)
    trainer.prior_step(*trainer.batches.validation(0))
    costs = [network_cost(child, trainer.settings.network, 10, 8).multiply_adds for child in seen["children"].genotypes]
    assert max(costs) > 20_000
    share = cost_share(torch.tensor(costs), 20_000)
    coefficients = importance_weights(seen["values"]) - cost_weight * share
    chosen = torch.tensor([encode(child, "separate") for child in seen["children"].genotypes])
    uniform = Prior(trainer.prior.form)
    (-(coefficients * uniform.log_prob(chosen)).sum()).backward()
    torch.testing.assert_close(trainer.prior.logits.grad, uniform.logits.grad, rtol=0, atol=1e-15)
    moved = trainer.prior.logits.detach()[uniform.logits.grad != 0]
    # Adam's first step has the size of the learning rate in the direction of descent.
    descent = -uniform.logits.grad[uniform.logits.grad != 0].sign()
    torch.testing.assert_close(moved, 0.1 * descent, rtol=0, atol=1e-4)


def test_steps_read_their_own_split(make_task, monkeypatch):
    trainer = Parsec(make_task())
    read = []
    for name in ("train", "validation"):
        split = getattr(trainer.task, name)
        monkeypatch.setattr(split, "gather", lambda i, name=name, gather=split.gather: read.append(name) or gather(i))
    for name in ("prior_step", "weight_step"):
        monkeypatch.setattr(trainer, name, lambda *_, name=name: read.append(name) or {})
    trainer.train_step(0)
    assert read == ["validation", "prior_step", "train", "weight_step"]


def test_warmup_leaves_prior_uniform(make_task):
    trainer = Parsec(make_task(warmup=Warmup(epochs=1)))
    before = trainer.supernet.weights.flat.detach().clone()
    rows = advance(trainer, 3)
    assert not trainer.prior.logits.any()
    assert not torch.equal(trainer.supernet.weights.flat, before)
    assert all("ess_prior" not in row and "validation_loss" not in row for row in rows)
    advance(trainer, 1)
    assert trainer.prior.logits.any()


def test_warmup_has_distribution_and_samples(make_task):
    """One architecture a step without weightless operations; after the warm-up K architectures from π."""
    warmup = Warmup(epochs=1, samples=1, weightless_share=1e-9)
    trainer = Parsec(make_task(space="nasbench201", warmup=warmup, estimator=Estimator(samples=3), epochs=2))
    drawn, original = [], trainer.prior.children
    trainer.warmup_prior.children = lambda indices: drawn.append(original(indices)) or drawn[-1]
    rows = events(advance(trainer, 6), "step")
    assert [row["samples"] for row in rows] == [1, 1, 1, 3, 3, 3]
    operations = [name for batch in drawn for child in batch.genotypes for name in child.operations]
    assert len(operations) == 3 * 6
    assert not WEIGHTLESS.intersection(operations)
    assert trainer.children == 3 + 3 * 2 * 3


def test_stratified_estimator_stratifies(make_task):
    trainer = Parsec(make_task(space="nasbench201", estimator=Estimator(samples=5, draws="stratified")))
    indices, _ = trainer.sample_architectures(trainer.prior, 5)
    assert all(sorted(column) == [0, 1, 2, 3, 4] for column in indices.T.tolist())


def test_accuracy_shuffles_classes(make_task, monkeypatch):
    """A batch of one class has other statistics than the batches that v was trained with."""
    trainer, classes = Parsec(make_task()), []
    split = trainer.task.validation
    order = split._labels.argsort()
    split._labels, split._resident = split._labels[order], split._resident[order]
    original = split.gather
    monkeypatch.setattr(split, "gather", lambda i: classes.append(len(split._labels[i].unique())) or original(i))
    trainer.accuracy(trainer.genotype())
    assert min(classes) >= 5


def test_accuracy_sees_each_image_once(make_task, monkeypatch):
    trainer, seen = Parsec(make_task(validation_images=45)), []
    original = trainer.task.validation.gather
    monkeypatch.setattr(trainer.task.validation, "gather", lambda i: seen.append(i) or original(i))
    trainer.accuracy(trainer.genotype())
    assert sorted(torch.cat(seen).tolist()) == list(range(45))
    assert all(len(batch) >= 16 for batch in seen)


DIVERGING = SearchOptimizer(learning_rate=10.0, weight_decay=1.0, gradient_clip=1e30)


def test_divergence_names_step_and_settings(make_task):
    """Rows are read together, so that the search is further on when it is found out."""
    trainer, rows = Parsec(make_task(epochs=10, train_images=480, weights=DIVERGING)), []

    def search():
        while trainer.step < trainer.total_steps:
            rows.extend(trainer.advance())
            if trainer.step % 30 == 0:
                trainer.check_finite()

    with pytest.raises(DivergedError) as caught:
        search()
    bad = next(row for row in rows if not math.isfinite(row.get("train_loss", 0.0)))
    assert bad["step"] < trainer.step
    line = str(caught.value)
    assert f"epoch {bad['epoch']}, step {bad['step']}: weights.learning_rate 10.0, gradient_clip 1e+30" in line
    assert "prior.learning_rate 0.1" in line


@pytest.mark.parametrize("spoiled", ["weights", "logits"])
def test_nonfinite_state_is_never_saved(make_task, spoiled):
    """The loss of a step is older than its update, so that the loop asks about the state itself."""
    trainer = Parsec(make_task())
    advance(trainer, 1)
    trainer.check_finite()
    values = {"weights": trainer.supernet.weights.flat, "logits": trainer.prior.logits}[spoiled]
    with torch.no_grad():
        values.view(-1)[5] = math.nan
    with pytest.raises(DivergedError, match="epoch 1, step 1"):
        trainer.check_finite()


def test_rows_ignore_read_times(make_task):
    at_ends, each = Parsec(make_task()), Parsec(make_task())
    rows = []
    while each.step < each.total_steps:
        rows += advance(each, 1)
    assert rows == advance(at_ends)


def test_rows_are_read_at_capacity(make_task, monkeypatch):
    monkeypatch.setattr(base, "CAPACITY", 4)
    trainer = Parsec(make_task(train_images=160))
    due = [[row["step"] for row in trainer.advance() if row["event"] == "step"] for _ in range(10)]
    assert due == [[], [], [], [1, 2, 3, 4], [], [], [], [5, 6, 7, 8], [], [9, 10]]


def test_progress_line(make_task):
    trainer = Parsec(make_task())
    assert "effective samples -" in trainer.progress()
    advance(trainer, 4)
    number = r"\d+\.\d+"
    pattern = rf"epoch 2/2  entropy of π {number} nats  effective samples {number}/2  loss {number}"
    assert re.fullmatch(pattern, trainer.progress())


def test_prior_optimizer_takes_betas_from_settings(make_task):
    trainer = Parsec(make_task(prior=PriorOptimizer(betas=(0.3, 0.7))))
    assert trainer.prior_optimizer.defaults["betas"] == (0.3, 0.7)


def after_two_steps(make_task, executor):
    """π's logits and the shared weights."""
    compute = Compute(device="cpu", precision="float32", executor=executor, samples_in_flight=2)
    trainer = Parsec(make_task(compute=compute))
    advance(trainer, 2)
    return trainer.prior.logits.detach(), trainer.supernet.weights.flat.detach()


@pytest.mark.parametrize("executor", ["grouped", "fused"])
def test_executors_give_equal_searches(make_task, executor):
    for actual, expected in zip(
        after_two_steps(make_task, executor), after_two_steps(make_task, "sequential"), strict=True
    ):
        torch.testing.assert_close(actual, expected, rtol=0, atol=1e-3)
