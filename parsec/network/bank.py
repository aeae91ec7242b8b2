"""The shared weights v: every weight of every child in one flat vector, of which all tensors are views.

One vector makes the optimiser, gradient clipping and checkpoints single operations. Weights of one primitive at all
edges of a cell are stacked, edge first, so that a child is a set of indices. Autograd accumulates straight into the
views of the one gradient vector: running a child allocates its own activations and nothing the size of v.
"""

import itertools
import math
from collections.abc import Mapping

import torch
from torch import Tensor

Shapes = Mapping[str, tuple[int, ...]]


class Bank:
    """A flat parameter vector `flat` with its gradient, and named leaf tensors that share its memory.

    Args:
        stacked: shapes of tensors with one entry an edge, edge first.
        plain: shapes of tensors that every child uses.
        generator: source of the initial values (on the CPU, so that all devices start equal).
    """

    def __init__(
        self,
        stacked: Shapes,
        plain: Shapes,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shapes = {**stacked, **plain}
        sizes = [math.prod(shape) for shape in shapes.values()]
        values = torch.rand(sum(sizes), generator=generator, dtype=torch.float64).mul_(2).sub_(1)
        for name, chunk in zip(shapes, values.split(sizes), strict=True):
            chunk.mul_(_bound(shapes[name][1:] if name in stacked else shapes[name]))
        self.flat = torch.nn.Parameter(values.to(device=device, dtype=dtype))
        self.flat.grad = torch.zeros_like(self.flat)
        self._values = self._views(self.flat.detach(), shapes, sizes)
        self._gradients = self._views(self.flat.grad, shapes, sizes)
        self._starts = dict(zip(shapes, itertools.accumulate(sizes, initial=0), strict=False))
        self._leaves: dict[tuple[str, int | None], Tensor] = {}

    @staticmethod
    def _views(flat: Tensor, shapes: Shapes, sizes: list[int]) -> dict[str, Tensor]:
        return {name: part.view(shapes[name]) for name, part in zip(shapes, flat.split(sizes), strict=True)}

    @property
    def gradient(self) -> Tensor:
        """The flat gradient of `flat`, which every backward pass adds to."""
        assert self.flat.grad is not None
        return self.flat.grad

    def start(self, name: str) -> int:
        """Position in `flat` of a tensor's first number; its other numbers follow, and a stacked tensor's edges."""
        return self._starts[name]

    def entry_size(self, name: str) -> int:
        """Numbers of one edge of a stacked tensor."""
        return self._values[name][0].numel()

    def __call__(self, name: str, edge: int | None = None) -> Tensor:
        """The leaf tensor of a plain weight, or of one edge of a stacked one."""
        key = (name, edge)
        if key not in self._leaves:
            value, gradient = self._values[name], self._gradients[name]
            leaf = (value if edge is None else value[edge]).detach().requires_grad_()
            leaf.grad = gradient if edge is None else gradient[edge]
            self._leaves[key] = leaf
        return self._leaves[key]


def _bound(shape: tuple[int, ...]) -> float:
    """Half width of the uniform initial distribution of one weight, 1/√fan-in (PyTorch's default for convolutions).

    Vectors are biases of a classifier whose fan-in they do not show; they start at zero.
    """
    return 0.0 if len(shape) == 1 else 1.0 / math.sqrt(math.prod(shape[1:]))
