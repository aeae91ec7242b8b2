"""The estimator: weights, gradients against exact sums over enumerable spaces, the online rule, K and cost."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parsec.config.search import Estimator
from parsec.prior.distribution import Prior
from parsec.search.estimator import (
    OnlineWeights,
    cost_share,
    effective_sample_size,
    importance_weights,
    prior_coefficients,
    temperature,
)
from parsec.space.factors import encode
from parsec.space.published import DARTS_V2

PINNED = 1000.0
"""A logit so high that the choice has probability one in float64."""

unhurried = settings(deadline=None)
log_weights = st.lists(st.floats(-1e4, 1e4), min_size=1, max_size=24)


@pytest.fixture
def toy():
    """A prior that leaves two factors open, its 15 architectures, and a log-likelihood of each."""
    prior = Prior()
    rng = torch.Generator().manual_seed(0)
    open_factors = [4, 5]
    with torch.no_grad():
        prior.logits[:, 0] = PINNED
        for factor in open_factors:
            size = len(prior.factors[factor].choices)
            prior.logits[factor, :size] = torch.randn(size, generator=rng, dtype=torch.float64)
    sizes = [len(prior.factors[factor].choices) for factor in open_factors]
    pairs = list(itertools.product(*map(range, sizes)))
    chosen = torch.zeros(len(pairs), len(prior.factors), dtype=torch.int64)
    chosen[:, open_factors] = torch.tensor(pairs)
    return prior, chosen, 2 * torch.randn(len(pairs), generator=rng, dtype=torch.float64)


def scores(prior, chosen):
    """∇_π log p(α|π) of every architecture, one row each."""
    return torch.stack([torch.autograd.grad(prior.log_prob(row[None])[0], prior.logits)[0].flatten() for row in chosen])


@unhurried
@given(log_weights, st.floats(-1e6, 1e6))
def test_weights_ignore_a_constant(values, constant):
    log_w = torch.tensor(values, dtype=torch.float64)
    # Adding the constant itself rounds the log weights by up to 1e6 · 2⁻⁵².
    torch.testing.assert_close(importance_weights(log_w + constant), importance_weights(log_w), rtol=0, atol=1e-9)


def test_weights_are_normalised_likelihoods():
    likelihood = torch.tensor([0.1, 0.4, 0.5], dtype=torch.float64)
    torch.testing.assert_close(importance_weights(likelihood.log()), likelihood)
    torch.testing.assert_close(importance_weights(likelihood.log() * 64, 64.0), likelihood)
    huge = importance_weights(torch.tensor([-1e5, -1e5 - math.log(3)], dtype=torch.float64))
    torch.testing.assert_close(huge, torch.tensor([0.75, 0.25], dtype=torch.float64))
    assert importance_weights(torch.zeros(2)).dtype == torch.float64


def test_temperature():
    assert temperature(Estimator(), 64) == 1.0
    assert temperature(Estimator(likelihood="mean"), 64) == 64.0


def test_estimator_approaches_exact_gradient(toy):
    """∇_π log Σ_α p(α|π) p(y|α), within five standard errors of the self-normalised estimate, entry by entry."""
    prior, every, log_likelihood = toy
    exact = torch.autograd.grad(torch.logsumexp(prior.log_prob(every) + log_likelihood, 0), prior.logits)[0].flatten()
    drawn = prior.sample(40_000, torch.Generator().manual_seed(1))
    index = (drawn[:, 4] * 7 + drawn[:, 5]).tolist()
    weights = importance_weights(log_likelihood[index])
    coefficients = prior_coefficients(Estimator(), weights)
    estimate = torch.autograd.grad((coefficients * prior.log_prob(drawn)).sum(), prior.logits)[0].flatten()
    deviations = scores(prior, every)[index] - estimate
    error = (weights[:, None].square() * deviations.square()).sum(0).sqrt()
    assert float(error.max()) < 0.02 * float(exact.abs().max())
    assert ((estimate - exact).abs() <= 5 * error + 1e-12).all()


def expected_step(settings, prior, every, log_likelihood, samples):
    """Exact expectation of the π-step over all draws of `samples` architectures."""
    p, score = prior.log_prob(every).detach().exp(), scores(prior, every)
    total = torch.zeros(score.shape[1], dtype=torch.float64)
    for draw in itertools.product(range(len(every)), repeat=samples):
        coefficients = prior_coefficients(settings, importance_weights(log_likelihood[list(draw)]))
        total += p[list(draw)].prod() * (coefficients[:, None] * score[list(draw)]).sum(0)
    return total


def test_baseline_keeps_expected_step(toy):
    prior, every, log_likelihood = toy
    plain, reduced = (
        expected_step(Estimator(baseline=baseline), prior, every, log_likelihood, 2) for baseline in ("none", "uniform")
    )
    torch.testing.assert_close(reduced, plain, rtol=0, atol=1e-13)
    assert float(plain.abs().max()) > 0.01


def test_baseline_takes_no_step_on_ties():
    weights = importance_weights(torch.full((5,), -3.0))
    assert not prior_coefficients(Estimator(baseline="uniform"), weights).any()
    assert torch.equal(prior_coefficients(Estimator(baseline="none"), weights), weights)


@unhurried
@given(log_weights, st.randoms(use_true_random=False))
def test_online_weights_equal_two_passes(values, rng):
    rng.shuffle(values)
    log_w = torch.tensor(values, dtype=torch.float64)
    terms = torch.arange(1.0, len(values) + 1, dtype=torch.float64)
    online, total = OnlineWeights(), torch.zeros((), dtype=torch.float64)
    for value, term in zip(log_w, terms, strict=True):
        keep, new = online.add(value)
        assert float(keep) <= 1.0
        assert float(new) <= 1.0
        total = total * keep + new * term
    weights = importance_weights(log_w)
    torch.testing.assert_close(total / online.total, (weights * terms).sum(), rtol=1e-12, atol=0)
    torch.testing.assert_close(online.effective_sample_size(), effective_sample_size(weights), rtol=1e-12, atol=0)


@unhurried
@given(log_weights, st.integers(1, 4))
def test_merged_parts_equal_all(values, ranks):
    """Also where a part saw nothing."""
    log_w = torch.tensor(values, dtype=torch.float64)
    terms = torch.arange(1.0, len(values) + 1, dtype=torch.float64)
    whole, parts, sums = OnlineWeights(), [OnlineWeights() for _ in range(ranks)], []
    whole.add(log_w)
    for rank, part in enumerate(parts):
        mine = log_w[rank::ranks]
        shares = part.add(mine)[1] if len(mine) else mine
        sums.append((shares * terms[rank::ranks]).sum())
    merged = OnlineWeights()
    factors = merged.merge(torch.stack([part.packed() for part in parts]))
    torch.testing.assert_close(merged.packed(), whole.packed(), rtol=1e-12, atol=1e-300)
    assert factors[len(values) :].tolist() == [0.0] * max(ranks - len(values), 0)
    total = (factors * torch.stack(sums)).sum() / merged.total
    torch.testing.assert_close(total, (importance_weights(log_w) * terms).sum(), rtol=1e-12, atol=0)


@unhurried
@given(log_weights)
def test_effective_sample_size_bounds(values):
    size = float(effective_sample_size(importance_weights(torch.tensor(values, dtype=torch.float64))))
    assert 1 - 1e-12 <= size <= len(values) * (1 + 1e-12)


def test_effective_sample_size_extremes():
    assert float(effective_sample_size(importance_weights(torch.zeros(16)))) == pytest.approx(16)
    assert float(effective_sample_size(importance_weights(torch.tensor([0.0, -1e4, -1e4])))) == pytest.approx(1)


def test_cost_share_is_normalised_excess():
    share = cost_share(torch.tensor([500e6, 900e6, 1200e6]), target=600e6)
    torch.testing.assert_close(share, torch.tensor([0, 1 / 3, 2 / 3], dtype=torch.float64))
    assert not cost_share(torch.tensor([1.0, 600e6]), target=600e6).any()


def test_cost_lowers_coefficients_above_target():
    settings = Estimator(cost_weight=0.5, cost_target=100.0, baseline="uniform")
    weights = torch.tensor([0.25, 0.75], dtype=torch.float64)
    coefficients = prior_coefficients(settings, weights, torch.tensor([50.0, 150.0]))
    torch.testing.assert_close(coefficients, torch.tensor([-0.25, -0.25], dtype=torch.float64))


@pytest.mark.parametrize("baseline", ["none", "uniform"])
def test_finds_planted_best_architecture(baseline):
    """π-steps alone, on a likelihood that grows with what a child has in common with the planted one."""
    prior, settings = Prior(), Estimator(baseline=baseline)
    planted = torch.tensor([encode(DARTS_V2, "separate")])
    optimizer = torch.optim.Adam([prior.logits], lr=0.1, betas=(0.5, 0.999))
    rng = torch.Generator().manual_seed(0)
    for _ in range(500):
        chosen = prior.sample(settings.samples, rng)
        log_likelihood = (chosen == planted).sum(1).double()
        coefficients = prior_coefficients(settings, importance_weights(log_likelihood))
        optimizer.zero_grad()
        (-(coefficients * prior.log_prob(chosen)).sum()).backward()
        optimizer.step()
    assert prior.mode() == DARTS_V2
    assert prior.entropy() < 10
