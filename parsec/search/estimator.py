"""The importance-weighted Monte Carlo estimator of PARSEC (section 2), with the cost rule of FP-NAS.

K architectures α_k ~ p(α|π), a minibatch (X, y) of B images: ω_k = p(y|X,v,α_k) / Σ_j p(y|X,v,α_j).
"""

import torch
from torch import Tensor

from parsec.config.search import Estimator


def temperature(settings: Estimator, batch_size: int) -> float:
    """T of log w_k = log p(y|X,v,α_k) / T: 1 for the literal likelihood of the minibatch, B for its mean."""
    return 1.0 if settings.likelihood == "sum" else float(batch_size)


def importance_weights(log_likelihood: Tensor, temperature: float = 1.0) -> Tensor:
    """Normalised likelihoods ω (K, float64), by log-sum-exp; invariant to adding a constant to the log-likelihoods."""
    return torch.softmax(log_likelihood.double() / temperature, dim=0)


def effective_sample_size(weights: Tensor) -> Tensor:
    """1 / Σ ω², between 1 and K (0-d)."""
    return 1.0 / weights.square().sum()


def cost_share(multiply_adds: Tensor, target: float) -> Tensor:
    """Normalised hinge C_k / Σ_j C_j with C = max(0, multiply-adds / target − 1) (FP-NAS); zero if none exceeds."""
    hinge = (multiply_adds.double() / target - 1.0).clamp(min=0.0)
    return hinge / hinge.sum().clamp(min=torch.finfo(torch.float64).tiny)


def prior_coefficients(settings: Estimator, weights: Tensor, multiply_adds: Tensor | None = None) -> Tensor:
    """Factors of ∇_π log p(α_k|π) in the π-step: ω_k − b − β · cost share (FP-NAS, equation 7)."""
    coefficients = weights
    # A baseline of 1/K changes no expectation, since E[∇ log p(α|π)] = 0, and takes no step when all weights are equal.
    if settings.baseline == "uniform":
        coefficients = coefficients - 1.0 / len(weights)
    # The cost penalty pulls probability away from architectures above the target.
    if multiply_adds is not None:
        coefficients = coefficients - settings.cost_weight * cost_share(multiply_adds, settings.cost_target)
    return coefficients


class OnlineWeights:
    """Importance weights of architectures evaluated one after another: the running-maximum rule of online softmax.

    Keeps the largest log weight m and the scaled sums Σ w, Σ w² and Σ w log w, with w = exp(log w − m). The caller
    multiplies what it accumulated so far by `keep` and the new term by `new`; dividing by `total` at the end gives
    Σ ω_k g_k.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self.maximum = torch.full((), -torch.inf, dtype=torch.float64, device=device)
        self.total = torch.zeros((), dtype=torch.float64, device=device)
        self.squares = torch.zeros_like(self.total)
        self.weighted = torch.zeros_like(self.total)

    def add(self, log_weight: Tensor) -> tuple[Tensor, Tensor]:
        """Add log weights (0-d for one architecture or S for several, float64); returns `keep` (0-d) and `new`."""
        # If m grows, everything before is scaled down by exp(m_old − m_new); exp(−∞) = 0 at the start.
        maximum = torch.maximum(self.maximum, log_weight.amax())
        keep, new = torch.exp(self.maximum - maximum), torch.exp(log_weight - maximum)
        self.total = self.total * keep + new.sum()
        self.squares = self.squares * keep.square() + new.square().sum()
        self.weighted = self.weighted * keep + (new * log_weight).sum()
        self.maximum = maximum
        return keep, new

    def packed(self) -> Tensor:
        """Maximum and scaled sums (4, float64), for `merge`."""
        return torch.stack([self.maximum, self.total, self.squares, self.weighted])

    def merge(self, parts: Tensor) -> Tensor:
        """Take the state of all of `parts` (W × 4, each `packed`) together, as if their log weights were added here.

        Returns the factors (W) by which what was accumulated with each part must be multiplied before it is summed; a
        part without log weights has the factor zero.
        """
        maximum, total, squares, weighted = parts.unbind(1)
        self.maximum = maximum.amax()
        factors = torch.exp(maximum - self.maximum)
        self.total, self.squares = (total * factors).sum(), (squares * factors.square()).sum()
        self.weighted = (weighted * factors).sum()
        return factors

    def mean_log_weight(self) -> Tensor:
        """Σ ω log w so far (0-d)."""
        return self.weighted / self.total

    def effective_sample_size(self) -> Tensor:
        """1 / Σ ω² so far (0-d)."""
        return self.total.square() / self.squares
