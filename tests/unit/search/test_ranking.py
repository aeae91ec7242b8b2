"""Rankings by shared weights: of a sample that is always the same, by the weights of the moment, without any truth."""

import json

import pandas as pd
import pytest
import torch
from searches import advance
from torch.nn.functional import cross_entropy

from parsec.config.search import Estimator, RandomSearch, Warmup
from parsec.records.code_hash import _PACKAGE, _closure
from parsec.runtime.rng import generator
from parsec.search.methods import METHODS
from parsec.search.ranking import correlations, rank, ranked_architectures
from parsec.space.spaces import SPACES

SHARED = [name for name in METHODS if name != "random"]


@pytest.fixture
def finished(make_task):
    """A function method, changes → a search that has ended."""

    def run(method, **changes):
        small = {"random": RandomSearch(candidates=2, minibatches=1, finalists=1, architectures=1, epochs=1)} | changes
        trainer = METHODS[method](make_task(method=method, space="nasbench201", **small))
        advance(trainer)
        return trainer

    return run


def test_sample_is_the_same_everywhere(make_task):
    space = SPACES["nasbench201"]
    first, second = (ranked_architectures(make_task(seed=seed, epochs=epochs).job.settings, space)
        for seed, epochs in ((0, 1), (7, 2)))  # fmt: skip
    assert first == second
    assert len(set(first)) == 3


@pytest.mark.parametrize("method", SHARED)
def test_every_sharing_method_is_ranked(finished, method):
    trainer = finished(method)
    before = trainer.supernet.weights.flat.detach().clone()
    rows = rank(trainer)
    assert rows["moment"].tolist() == ["end"] * 3
    assert torch.equal(trainer.supernet.weights.flat, before)
    assert (rows["forward_images"] == trainer.forward_images).all()


def test_warmup_is_ranked_by_its_weights(finished):
    trainer = finished("parsec", warmup=Warmup(epochs=1), estimator=Estimator(samples=2))
    rows = rank(trainer)
    assert rows["moment"].tolist() == ["warmup"] * 3 + ["end"] * 3
    assert rows["forward_images"].tolist() == [2 * 48] * 3 + [trainer.forward_images] * 3
    # Losses are those of the weights of either moment on the same images.
    order = torch.randperm(48, generator=generator(trainer.task.seed, "ranking order"))
    images, labels = trainer.task.validation.evaluate(order[:16], trainer.task.augment)
    architecture = ranked_architectures(trainer.settings, trainer.prior.space)[0]
    weights = trainer.supernet.weights.flat.detach()
    for first, moment in ((3, weights.clone()), (0, trainer.warmup_weights)):
        weights.copy_(moment)
        with torch.no_grad():
            expected = float(cross_entropy(trainer.logits(architecture, images), labels))
        assert rows["loss"].iloc[first] == pytest.approx(expected, rel=1e-6)
    assert rows["loss"].iloc[0] != rows["loss"].iloc[3]


def test_warmup_weights_survive_resuming(make_task):
    settings = {"space": "nasbench201", "warmup": Warmup(epochs=1), "epochs": 2}
    whole, first = METHODS["parsec"](make_task(**settings)), METHODS["parsec"](make_task(**settings))
    advance(first, 4)
    second = METHODS["parsec"](make_task(**settings))
    second.load_state_dict(first.state_dict())
    advance(second)
    advance(whole)
    pd.testing.assert_frame_equal(rank(second), rank(whole))


def test_random_search_trains_the_sample(finished):
    random = RandomSearch(ranked=True, epochs=1, architectures=1)
    trainer = finished("random", random=random)
    rows = rank(trainer)
    sample = ranked_architectures(trainer.settings, trainer.prior.space)
    assert rows["moment"].tolist() == ["alone"] * 3
    assert rows["architecture"].tolist() == [json.dumps(each.as_dict(), sort_keys=True) for each in sample]
    assert max(rows["accuracy"]) == trainer.best_accuracy
    assert rank(finished("random")).empty


def test_search_that_is_cut_ranks_what_it_trained(finished):
    alone = finished("random", random=RandomSearch(ranked=True, epochs=1), device_days=1e-9)
    rows = rank(alone)
    assert rows["accuracy"].tolist() == alone.ranked_accuracies == [alone.best_accuracy]
    assert correlations(rows) == {"alone": {"parameters": None, "weightless": None}}
    # One epoch of training and the selection are as many as the warm-up was to have, which never ended.
    shared = finished("random_ws", epochs=50, warmup=Warmup(epochs=2), device_days=1e-9)
    assert shared.epoch == 2
    assert rank(shared)["moment"].tolist() == ["end"] * 3


def test_correlations_are_kendalls():
    rows = pd.DataFrame({
        "moment": "end",
        "loss": [1.0, 2.0, 3.0, 4.0],
        "accuracy": 0.0,
        "parameters": [40, 30, 10, 20],
        "weightless": [1, 1, 1, 1],
    })  # fmt: skip
    assert correlations(rows) == {"end": {"parameters": pytest.approx(4 / 6), "weightless": None}}


def test_search_code_knows_no_benchmark():
    assert not [name for name in _closure(("parsec.search.run",), _PACKAGE) if name.startswith("parsec.tabular")]
