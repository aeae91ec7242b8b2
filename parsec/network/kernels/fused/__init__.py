"""The operations as Triton kernels, together; importing this needs Triton."""

from parsec.network.kernels.fused.norm import join, normalise, statistics
from parsec.network.kernels.fused.pointwise import conv1x1, conv1x1_back
from parsec.network.kernels.fused.pool import pool, pool_back
from parsec.network.kernels.fused.separable import separable, separable_back

__all__ = [
    "conv1x1",
    "conv1x1_back",
    "join",
    "normalise",
    "pool",
    "pool_back",
    "separable",
    "separable_back",
    "statistics",
]
