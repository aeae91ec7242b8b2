"""The operations as Triton kernels, together; importing this needs Triton."""

from parsec.network.kernels.fused.deposit import deposit
from parsec.network.kernels.fused.mix import mix, mix_back
from parsec.network.kernels.fused.norm import join, normalise, statistics
from parsec.network.kernels.fused.pool import pool, pool_back
from parsec.network.kernels.fused.separable import separable
from parsec.network.kernels.fused.separable_back import separable_back

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
