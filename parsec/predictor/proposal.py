"""Children from a better proposal than π, and the importance weights that make up for it.

PARSEC draws its K children from π, so that their weights are likelihoods alone. From another q the weights are
ω_k ∝ p(y|α_k) π(α_k)/q(α_k), and Σ ω_k ∇_π log p(α_k|π) is still an estimate of the gradient of log p(y|π): p π/q has
under q the mean that p has under π. The best q is the posterior ∝ π p, under which all weights are equal. Here a
predictor f of log p stands for it: q(α) ∝ π(α) exp(β f(α)), which is the posterior if f is right and β = 1, and π if
β = 0. All logarithms are natural; N architectures are enumerated, a pool has M.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from parsec.prior.draw import draw


def tilted(log_prior: Tensor, predicted: Tensor, beta: float) -> Tensor:
    """Log q of all N architectures of an enumerated space, exactly normalised: [..., N] from log π and f."""
    return (log_prior + beta * predicted).log_softmax(-1)


def defended(log_proposal: Tensor, log_prior: Tensor, share: float) -> Tensor:
    """Log of (1 − share) q + share π, under which π/q is at most 1/share (defensive mixture, Hesterberg 1995).

    Without it children that the predictor wrongly dismisses are hardly ever drawn, and then weigh all: K children seem
    to weigh evenly while their mean is far off.
    """
    if share == 0.0:
        return log_proposal
    shares = torch.tensor([1.0 - share, share], dtype=log_prior.dtype).log()
    return torch.logaddexp(shares[0] + log_proposal, shares[1] + log_prior)


def log_weights(log_likelihood: Tensor, log_prior: Tensor, log_proposal: Tensor) -> Tensor:
    """Log of p(y|α) π(α)/q(α); its normalised exponentials are `estimator.importance_weights`."""
    return log_likelihood + log_prior - log_proposal


def share_in_the_limit(log_likelihood: Tensor, log_prior: Tensor, log_proposal: Tensor) -> Tensor:
    """Effective sample size by K as K grows, exactly: (Σ q w)² / Σ q w² over all N, with w = p π/q; [...]."""
    log_w = log_weights(log_likelihood, log_prior, log_proposal)
    first = (log_proposal + log_w).logsumexp(-1)
    second = (log_proposal + 2 * log_w).logsumexp(-1)
    return (2 * first - second).exp()


class Resampled(NamedTuple):
    """K children from a pool that was drawn from π."""

    positions: Tensor
    """In the pool, [K]."""
    log_ratio: Tensor
    """What stands for log π(α)/q(α), [K]."""


def resample(predicted: Tensor, beta: float, uniform: Tensor) -> Resampled:
    """Draw K of a pool of M architectures from π, with probabilities ∝ exp(β f): q where it cannot be enumerated.

    With the mean of exp(β f) over the pool in the place of its mean under π, the weighted mean of any function over
    the K is unbiased, whatever the size of the pool; the draws themselves follow q as the pool grows (sampling
    importance resampling, Rubin 1988).

    Args:
        predicted: f of the pool, [M].
        beta: strength of the proposal.
        uniform: numbers in [0, 1), float64 [K].
    """
    tilt = beta * predicted
    positions = draw(tilt.softmax(-1), uniform)
    mean = tilt.logsumexp(-1) - torch.tensor(float(len(tilt)), dtype=tilt.dtype).log()
    return Resampled(positions, mean - tilt[positions])
