"""Both random searches: which architectures they train and judge, on which images, and that the best is kept."""

import pytest
import torch
from searches import advance

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


def test_random_ws_keeps_best_finalist(make, monkeypatch):
    trainer = make(RandomShared, candidates=5, minibatches=2, finalists=3)
    trained, judged = spied(trainer, monkeypatch)
    rows = advance(trainer)
    assert len(trained) == 6
    assert len(set(trained)) > 4
    assert len(judged) == 3
    best = max(judged, key=lambda pair: pair[0])
    assert (rows[-1]["mode_accuracy"], trainer.genotype()) == best
    assert trainer.accuracy(best[1]) == best[0]
    assert trainer.children == 6 + 5 + 3
    assert trainer.forward_images == 6 * 16 + 5 * 2 * 16 + 3 * 48
    assert trainer.forward_images == 6 * 16 + trainer.selection_images(trainer.task)
    assert [row["epoch"] for row in rows if row["event"] == "epoch"] == [0, 1, 2, 3]


def test_finalists_lead_on_minibatches(make, monkeypatch):
    """Best first, the earlier of equals first; the whole split then decides, against the order of the minibatches."""
    trainer, accuracies = make(RandomShared, candidates=5, finalists=3), [0.2, 0.7, 0.5, 0.7, 0.1]
    sampled, compared = [], []
    draw, left = trainer.sample, iter(accuracies)
    monkeypatch.setattr(trainer, "sample", lambda rng: sampled.append(draw(rng)) or sampled[-1])
    monkeypatch.setattr(trainer, "accuracy_on", lambda *_: next(left))
    whole = iter([0.3, 0.4, 0.6])
    monkeypatch.setattr(SearchTrainer, "accuracy", lambda _, child: compared.append(child) or next(whole, 0.6))
    trainer.step = trainer._training_steps
    for number in range(8):
        trainer.train_step(2)
        trainer.step += 1
        assert trainer.has_selection == (number >= 5)
    candidates = sampled[:5]
    assert compared == [candidates[1], candidates[3], candidates[2]]
    assert trainer.genotype() == candidates[2]


def test_candidates_see_successive_minibatches(make):
    """Two of three batches each: together two shuffled passes over the split, the second in another order."""
    batches = make(RandomShared).batches
    seen = [images for number in range(3) for images, _ in batches.some_validation(number, 2)]
    assert [len(images) for images in seen] == [16] * 6
    passes = [sorted(image.sum().item() for image in torch.cat(seen[start : start + 3])) for start in (0, 3)]
    everything = torch.cat([images for images, _ in batches.all_validation()])
    assert passes[0] == passes[1] == sorted(image.sum().item() for image in everything)
    assert not torch.equal(torch.cat(seen[:3]), torch.cat(seen[3:]))


def test_small_split_bounds_minibatches(make):
    trainer = make(RandomShared, candidates=4, minibatches=10, finalists=1)
    advance(trainer)
    assert trainer.forward_images == 6 * 16 + 4 * 48 + 48
    assert trainer.selection_images(trainer.task) == 4 * 48 + 48


@pytest.mark.parametrize("cut", [8, 12])
def test_selection_resumes_exactly(make, cut):
    """Cut among the candidates and among the finalists."""
    settings = {"candidates": 5, "minibatches": 1, "finalists": 3}
    whole, first, second = (make(RandomShared, **settings) for _ in range(3))
    advance(whole)
    advance(first, cut)
    second.load_state_dict(first.state_dict())
    advance(second)
    assert second.leaders == whole.leaders
    assert (second.genotype(), second.best_accuracy) == (whole.genotype(), whole.best_accuracy)
    assert second.forward_images == whole.forward_images


def test_random_trains_each_from_scratch(make, monkeypatch):
    trainer, starts = make(RandomSearch, architectures=3, epochs=2), []
    trained, judged = spied(trainer, monkeypatch)
    reset = trainer.reset_weights
    monkeypatch.setattr(trainer, "reset_weights", lambda *name: starts.append(reset(*name) or first(trainer)))
    rows = advance(trainer)
    assert [trained.count(child) for child in dict.fromkeys(trained)] == [6, 6, 6]
    assert [child for _, child in judged] == list(dict.fromkeys(trained))
    assert len(set(starts)) == 3
    best = max(judged, key=lambda pair: pair[0])
    assert (rows[-1]["mode_accuracy"], trainer.genotype()) == best
    assert trainer.forward_images == 18 * 16 + 3 * 48
    rates = [row["learning_rate"] for row in rows if row["event"] == "step"]
    assert rates == pytest.approx([0.1] * 3 + [0.0505] * 3 + [0.1] * 3 + [0.0505] * 3 + [0.1] * 3 + [0.0505] * 3)


def first(trainer):
    return float(trainer.supernet.weights.flat.detach()[0])


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
