"""Bytes and operations of a step, counted while it runs from the shapes of every tensor operation in it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

aten = torch.ops.aten
FREE = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided, aten._unsafe_view}
"""Operations that move nothing and are no views by name: the result holds no values yet, or is its input."""
FIRST_UNREAD = {aten.zero_, aten.fill_, aten.copy_, aten.zeros_like, aten.ones_like, aten.full_like}
"""Operations whose first argument is overwritten or only lends its shape."""


class Counts(NamedTuple):
    """What a step does at least, if no two of its operations are fused."""

    bytes: int
    """Every operation reads its inputs and writes its results once."""
    operations: int
    """Of convolutions and matrix products; a multiplication and an addition are two."""


class Counter(TorchDispatchMode):
    """Counts all tensor operations of torch, forward and backward, that run while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes, self.operations = 0, 0

    @property
    def counts(self) -> Counts:
        """What was counted so far."""
        return Counts(self.bytes, self.operations)

    def __torch_dispatch__(
        self,
        func: Any,  # noqa: ANN401
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        packet = func.overloadpacket
        if not func.is_view and packet not in FREE:
            moved = tree_leaves((args[packet in FIRST_UNREAD :], kwargs, result))
            self.bytes += sum(_bytes(x) for x in moved if isinstance(x, Tensor))
            self.operations += OPERATIONS[packet](args, result) if packet in OPERATIONS else 0
        return result


def _bytes(x: Tensor) -> int:
    """Memory that a tensor covers: that of its storage if it repeats values (`expand`)."""
    return min(x.numel() * x.element_size(), x.untyped_storage().nbytes())


def _convolution(args: Sequence[Any], result: Tensor) -> int:
    weight: Tensor = args[1]
    return 2 * result.numel() * weight[0].numel()


def _convolution_backward(args: Sequence[Any], result: object) -> int:
    """As many again for the gradient of the input and for that of the weight, as far as they are asked for."""
    gradient: Tensor = args[0]
    weight: Tensor = args[2]
    input_wanted, weight_wanted, _ = args[-1]
    return (bool(input_wanted) + bool(weight_wanted)) * 2 * gradient.numel() * weight[0].numel()


def _product(args: Sequence[Any], result: Tensor) -> int:
    """The second factor but one holds the length of the sums in its last dimension."""
    return 2 * result.numel() * int(args[-2].shape[-1])


OPERATIONS: dict[Any, Callable[[Sequence[Any], Any], int]] = {
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.mm: _product,
    aten.addmm: _product,
    aten.bmm: _product,
    aten.baddbmm: _product,
}


def count(step: Callable[[], object]) -> Counts:
    """Run a step once and count it."""
    counter = Counter()
    with counter:
        step()
    return counter.counts
