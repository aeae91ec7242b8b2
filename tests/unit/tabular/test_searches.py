"""The simulated searches: what each trains next."""

import numpy as np
import pytest
import torch

from parsec.config.tabular import AssistedEvolution, Evolution, Reinforce
from parsec.tabular.simulate import Budget, _Adam, assisted_evolution, evolution, follow, random_search, reinforce

MANY = 300


def rng(seed=0):
    return np.random.default_rng(seed)


def test_random_search_draws_uniformly(toy, trained):
    archs = trained(random_search(toy, rng()), 5000)
    counts = np.bincount(archs, minlength=125)
    assert counts.min() > 0
    # Chi-squared with 124 degrees of freedom; 1 in 10,000 is above 190.
    assert ((counts - 40) ** 2 / 40).sum() < 190


def test_only_new_incumbents_are_kept(toy):
    kept = follow(random_search(toy, rng()), toy, Budget(50, None, None))
    same = rng()
    reached = [toy.accuracy(toy.draw(1, same)[0]) for _ in range(50)]
    best = np.maximum.accumulate(reached)
    assert [one.trained for one in kept] == [1, *(np.flatnonzero(np.diff(best)) + 2)]
    assert [one.accuracy for one in kept] == sorted(set(best))
    assert all(one.accuracy == toy.accuracy(one.architecture) and one.seconds is None for one in kept)


def test_no_training_passes_the_seconds(toy):
    costs = np.full(125, 10.0)
    kept = follow(random_search(toy, rng()), toy, Budget(MANY, 45.0, costs))
    free = follow(random_search(toy, rng()), toy, Budget(4, None, costs))
    assert kept == free
    assert [one.seconds for one in kept] == [10.0 * one.trained for one in kept]


def test_evolution_mutates_best_living_parent(toy, trained):
    # So large a sample has every one of three in it.
    archs = trained(evolution(toy, Evolution(population=3, sample=200), rng()), 60)
    for place in range(3, 60):
        living = archs[place - 3 : place]
        best = max(toy.accuracy(each) for each in living)
        parents = [each for each in living if toy.accuracy(each) == best]
        assert any(archs[place] in toy.neighbours(parent) for parent in parents)


def test_evolution_beats_random_search(toy):
    budget = Budget(40, None, None)

    def mean(start):
        return np.mean([follow(start(rng(repeat)), toy, budget)[-1].accuracy for repeat in range(100)])

    evolved = mean(lambda random: evolution(toy, Evolution(population=10, sample=3), random))
    assert evolved > mean(lambda random: random_search(toy, random)) + 0.2


def test_assisted_evolution_starts_with_best_scores(toy, trained):
    settings = AssistedEvolution(population=4, sample=3, candidates=12)
    scores = {arch: -np.inf if arch % 7 == 0 else float(arch) for arch in range(50, 100)}
    archs = trained(assisted_evolution(toy, settings, scores, rng()), 6)
    drawn = [list(scores)[place] for place in rng().integers(50, size=12)]
    assert archs[:4] == sorted(drawn, key=lambda each: scores[each], reverse=True)[:4]
    assert archs[4] in {other for parent in archs[:4] for other in toy.neighbours(parent)}


def test_scores_that_know_the_truth_help(toy):
    budget, scores = Budget(12, None, None), {arch: toy.accuracy(arch) for arch in range(125)}
    plain, helped = [], []
    for repeat in range(100):
        plain.append(follow(evolution(toy, Evolution(), rng(repeat)), toy, budget)[-1].accuracy)
        helped.append(
            follow(assisted_evolution(toy, AssistedEvolution(), scores, rng(repeat)), toy, budget)[-1].accuracy
        )
    assert np.mean(helped) > np.mean(plain)


def test_reinforce_comes_to_the_best_choices(toy, trained):
    archs = trained(reinforce(toy, Reinforce(rate=0.1), rng()), 1500)
    reached = [toy.accuracy(each) for each in archs]
    first = [toy.accuracy(next(reinforce(toy, Reinforce(), rng(repeat)))) for repeat in range(500)]
    assert np.mean(first) == pytest.approx(56.0, abs=0.5)  # uniform
    assert np.mean(reached[-50:]) > 61.5  # of 62


def test_ascent_is_adams():
    gradients, rate = rng().normal(size=(20, 2, 3)), 0.05
    ours, theirs = _Adam((2, 3), rate), torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([theirs], rate, maximize=True)
    for gradient in gradients:
        ours.ascend(gradient)
        theirs.grad = torch.from_numpy(gradient)
        optimiser.step()
    assert np.allclose(ours.values, theirs.detach().numpy(), rtol=1e-9)
