"""The operations as Triton kernels, together; importing this needs Triton."""

from parsec.network.kernels.fused.norm import join, normalise, statistics
from parsec.network.kernels.fused.pointwise import mix, mix_back
from parsec.network.kernels.fused.pool import pool, pool_back
from parsec.network.kernels.fused.reduce_grads import deposit
from parsec.network.kernels.fused.separable import separable, separable_back

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
