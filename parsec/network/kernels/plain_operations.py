"""The operations in plain PyTorch, together."""

from parsec.network.kernels.plain import deposit, join, mix, normalise, pool, separable, statistics
from parsec.network.kernels.plain_backward import mix_back, pool_back, separable_back

__all__ = [
    "deposit",
    "join",
    "mix",
    "mix_back",
    "normalise",
    "pool",
    "pool_back",
    "separable",
    "separable_back",
    "statistics",
]
