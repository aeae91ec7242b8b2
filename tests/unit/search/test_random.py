"""Both random searches: which children they train and judge, and that the best is kept."""

import pytest
import torch

from parsec.config.search import RandomSearch as Settings
from parsec.search.base import SearchTrainer
from parsec.search.random import RandomSearch, RandomShared


@pytest.fixture
def make(make_task):
    """A function class, settings → a random search on NAS-Bench-201, three steps an epoch."""

    def build(kind, **settings):
        method = "random" if kind is RandomSearch else "random_ws"
        return kind(make_task(method=method, space="nasbench201", random=Settings(**settings)))

    return build


def finish(trainer):
    rows = []
    while trainer.step < trainer.total_steps:
        rows += trainer.advance()
    return rows


def spied(trainer, monkeypatch):
    """Which children were trained, and what was judged as how good."""
    trained, judged = [], []
    train, judge = trainer.weight_step, trainer.evaluate_candidate

    def spy(child):
        row = judge(child)
        judged.append((row["candidate_accuracy"], child))
        return row

    monkeypatch.setattr(trainer, "weight_step", lambda child, *rest: trained.append(child) or train(child, *rest))
    monkeypatch.setattr(trainer, "evaluate_candidate", spy)
    return trained, judged


def test_random_ws_keeps_best_candidate(make, monkeypatch):
    trainer = make(RandomShared, candidates=5)
    trained, judged = spied(trainer, monkeypatch)
    rows = finish(trainer)
    assert len(trained) == 6
    assert len(set(trained)) > 4
    assert len(judged) == 5
    best = max(judged, key=lambda pair: pair[0])
    assert (rows[-1]["mode_accuracy"], trainer.genotype()) == best
    assert trainer.accuracy(best[1]) == best[0]
    assert trainer.children == 6 + 5
    assert trainer.forward_images == 6 * 16 + 5 * 48
    assert [row["epoch"] for row in rows if row["event"] == "epoch"] == [0, 1, 2, 3]


def test_random_trains_each_from_scratch(make, monkeypatch):
    trainer, starts = make(RandomSearch, architectures=3, epochs=2), []
    trained, judged = spied(trainer, monkeypatch)
    reset = trainer.reset_weights
    monkeypatch.setattr(trainer, "reset_weights", lambda *name: starts.append(reset(*name) or first(trainer)))
    rows = finish(trainer)
    assert [trained.count(child) for child in dict.fromkeys(trained)] == [6, 6, 6]
    assert [child for _, child in judged] == list(dict.fromkeys(trained))
    assert len(set(starts)) == 3
    best = max(judged, key=lambda pair: pair[0])
    assert (rows[-1]["mode_accuracy"], trainer.genotype()) == best
    assert trainer.forward_images == 18 * 16 + 3 * 48
    rates = [row["learning_rate"] for row in rows if row["event"] == "step"]
    assert rates == pytest.approx([0.1] * 3 + [0.0505] * 3 + [0.1] * 3 + [0.0505] * 3 + [0.1] * 3 + [0.0505] * 3)


def first(trainer):
    return float(trainer.supernet.bank.flat.detach()[0])


def test_first_of_equal_candidates_wins(make, monkeypatch):
    trainer = make(RandomShared, candidates=2)
    monkeypatch.setattr(SearchTrainer, "accuracy", lambda *_: 0.5)
    one, other = (trainer.sample(trainer.streams.cpu("candidates")) for _ in range(2))
    assert one != other
    for child in (one, other):
        trainer.evaluate_candidate(child)
    assert trainer.genotype() == one


@pytest.mark.parametrize("kind", [RandomShared, RandomSearch])
def test_genotype_before_evaluation_is_constant(make, kind):
    trainer = make(kind)
    before = trainer.genotype()
    trainer.advance()
    assert trainer.genotype() == before
    assert not torch.any(trainer.prior.logits)
