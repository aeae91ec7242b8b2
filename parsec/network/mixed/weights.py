"""The weights of a mixture as the host and the device read them."""

from torch import Tensor

Live = list[list[int]]
"""Of every edge, which primitives run."""


def live(weights: Tensor) -> list[Live]:
    """Primitives whose weight [cells, edges, primitives] is not exactly zero, of every cell and edge."""
    present: list[list[list[bool]]] = (weights != 0).tolist()
    return [[[choice for choice, runs in enumerate(edge) if runs] for edge in cell] for cell in present]


def spread(weights: Tensor, like: Tensor) -> Tensor:
    """The weights in the type of the network's own, where those lie; gradients go back through the copy."""
    return weights.to(like.device, like.dtype, non_blocking=True)
