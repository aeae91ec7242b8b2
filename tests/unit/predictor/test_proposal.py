"""Proposals and their weights, against sums over a space that can be enumerated."""

import itertools

import numpy as np
import pytest
import torch

from parsec.predictor.proposal import defended, log_weights, mean_log_likelihood, share_in_the_limit, tilted
from parsec.prior.distribution import draw
from parsec.search.estimator import effective_sample_size, importance_weights

N = 6


@pytest.fixture
def space():
    """Log π, log-likelihoods and predictions that are wrong, of six architectures."""
    noise = torch.randn(3, N, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return noise[0].log_softmax(-1), 2 * noise[1], noise[1] + noise[2]


@pytest.mark.parametrize("defence", [0.0, 0.3])
@pytest.mark.parametrize("beta", [0.0, 0.5, 3.0])
def test_evidence_and_gradient_are_unbiased(space, beta, defence):
    log_prior, likelihood, predicted = space
    log_q = defended(tilted(log_prior, predicted, beta), log_prior, defence)
    assert float(log_q.exp().sum()) == pytest.approx(1.0)
    weights = log_weights(likelihood, log_prior, log_q).exp()
    evidence = (log_prior.exp() * likelihood.exp()).sum()
    score = torch.eye(N, dtype=torch.float64) - log_prior.exp()
    exact = (log_prior.exp() * likelihood.exp()) @ score
    # All pairs of children: the mean over them of the estimate with K = 2 is the number that it estimates.
    total, gradient = 0.0, torch.zeros(N, dtype=torch.float64)
    for pair in itertools.product(range(N), repeat=2):
        chance, chosen = log_q[list(pair)].sum().exp(), list(pair)
        total += chance * weights[chosen].mean()
        gradient += chance * (weights[chosen, None] * score[chosen]).mean(0)
    assert float(total) == pytest.approx(float(evidence), abs=1e-12)
    torch.testing.assert_close(gradient, exact, atol=1e-12, rtol=0)


def test_proposal_limits_are_prior_and_posterior(space):
    log_prior, likelihood, predicted = space
    torch.testing.assert_close(tilted(log_prior, predicted, 0.0), log_prior)
    log_q = tilted(log_prior, likelihood, 1.0)
    chosen = torch.tensor([0, 3, 3, 5])
    weights = importance_weights(log_weights(likelihood, log_prior, log_q)[chosen])
    assert float(effective_sample_size(weights)) == pytest.approx(4.0)
    assert float(share_in_the_limit(likelihood, log_prior, log_q)) == pytest.approx(1.0)


def test_defended_proposal_bounds_wrong_predictor(space):
    log_prior, likelihood, _ = space
    misled = tilted(log_prior, -3 * likelihood, 1.0)
    safe = defended(misled, log_prior, 0.2)
    assert float((log_prior - safe).max()) <= np.log(5)
    assert float((log_prior - misled).max()) > np.log(5)
    shares = [float(share_in_the_limit(likelihood, log_prior, log_q)) for log_q in (misled, safe, log_prior)]
    assert shares[0] < shares[1] < shares[2]


def test_effective_share_converges_to_its_limit(space):
    log_prior, likelihood, predicted = space
    log_q = tilted(log_prior, predicted, 0.7)
    uniform = torch.rand(200_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    chosen = draw(log_q.exp(), uniform)
    weights = importance_weights(log_weights(likelihood, log_prior, log_q)[chosen])
    limit = float(share_in_the_limit(likelihood, log_prior, log_q))
    assert float(effective_sample_size(weights)) / len(chosen) == pytest.approx(limit, rel=0.01)


def test_likelihood_rises_with_accuracy_above_chance():
    likelihoods = mean_log_likelihood(np.array([3.0, 10.0, 50.0, 90.0, 100.0]), 10)
    assert likelihoods[:2].tolist() == pytest.approx([-np.log(10)] * 2)
    assert likelihoods[3] == pytest.approx(0.9 * np.log(0.9) + 0.1 * np.log(0.1 / 9))
    assert (np.diff(likelihoods[1:]) > 0).all()
    assert likelihoods[-1] == pytest.approx(0.0, abs=1e-4)
