"""What all methods have in common: seeds, epochs, rows, cost, and continuing from any step; in both spaces."""

import json
import math
from dataclasses import replace

import pytest
import torch
from searches import advance, equal, snapshot

from parsec.config.base import RELAXED
from parsec.config.search import RandomSearch
from parsec.errors import DivergedError, SettingsError
from parsec.runtime.distributed import Ranks
from parsec.search.methods import METHODS
from parsec.space.spaces import SPACES

OTHERS = sorted(METHODS.keys() - {"parsec"})
QUICK = {"space": "nasbench201"}
SMALL = {"random": RandomSearch(candidates=2, architectures=2, epochs=1)}


@pytest.fixture
def make(make_task):
    """A function method, changes → a small search with it."""
    return lambda method, **changes: METHODS[method](make_task(method=method, **SMALL, **changes))


@pytest.mark.parametrize("method", OTHERS)
@pytest.mark.parametrize("space", SPACES)
def test_resumes_exactly_from_any_step(make, method, space):
    undisturbed = make(method, space=space, epochs=1, train_images=32)
    for _ in range(undisturbed.total_steps):
        resumed = make(method, space=space, epochs=1, train_images=32)
        resumed.load_state_dict(snapshot(undisturbed))
        assert advance(resumed, 1) == advance(undisturbed, 1)
        assert equal(snapshot(resumed), snapshot(undisturbed))
    assert resumed.genotype() == undisturbed.genotype()


@pytest.mark.parametrize("method", OTHERS)
def test_seed_determines_the_run(make, method):
    first, second, other = (advance(make(method, seed=seed, epochs=1, **QUICK)) for seed in (0, 0, 1))
    assert first == second
    assert first != other


@pytest.mark.parametrize("method", OTHERS)
def test_epoch_metrics(make, method):
    trainer = make(method, **QUICK)
    rows = [row for row in advance(trainer) if row["event"] == "epoch"]
    assert [row["epoch"] for row in rows] == [entry[0] for entry in trainer.history] == list(range(len(rows)))
    for row in rows:
        assert 0 <= row["skip_share"] <= 1
        assert 0 <= row["mode_accuracy"] <= 1
        total = sum(sum(counts.values()) for counts in row["operations"].values())
        assert total == pytest.approx(6)
    images = [row["forward_images"] for row in rows]
    assert images == sorted(set(images))
    assert images[-1] == trainer.forward_images
    assert rows[0]["genotype"] is None or method in RELAXED
    assert rows[-1]["genotype"] == json.loads(json.dumps(trainer.genotype().as_dict()))


@pytest.mark.parametrize("method", OTHERS)
def test_diverged_search_is_not_saved(make, method):
    trainer = make(method, **QUICK)
    advance(trainer, 1)
    trainer.check_finite()
    with torch.no_grad():
        trainer.supernet.weights.flat[5] = math.nan
    with pytest.raises(DivergedError, match="epoch 1, step 1"):
        trainer.check_finite()


@pytest.mark.parametrize("method", OTHERS)
def test_several_ranks_fail(make_task, method):
    task = replace(make_task(method=method), ranks=Ranks(0, 2, 0, 2))
    with pytest.raises(SettingsError, match="runs in one process"):
        METHODS[method](task)
