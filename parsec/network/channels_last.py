"""Joining, splitting and thinning of maps whose backward passes leave gradients dense and channels last.

Autograd's own backward passes of these hand on strided or contiguous gradients, which make the batch norms and
additions before them several times slower on a CPU.

B images, C channels, H × W pixels; all maps are [B, C, H, W].
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FORMAT = torch.channels_last
Context = Any
"""What autograd hands from a forward to its backward pass."""


class _Joined(torch.autograd.Function):
    """`join`."""

    @staticmethod
    def forward(ctx: Context, *parts: Tensor) -> Tensor:
        ctx.channels = [part.shape[1] for part in parts]
        return torch.cat(parts, dim=1)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(part.contiguous(memory_format=FORMAT) for part in gradient.split(ctx.channels, dim=1))


class _Pieces(torch.autograd.Function):
    """`pieces`."""

    @staticmethod
    def forward(ctx: Context, x: Tensor, channels: int) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.shape = x.shape
        parts: tuple[Tensor, ...] = x.split(channels, dim=1)
        return parts

    @staticmethod
    def backward(ctx: Context, *gradients: Tensor | None) -> tuple[Tensor, None]:
        given = next(gradient for gradient in gradients if gradient is not None)
        whole = _empty(ctx.shape, given)
        for part, gradient in zip(whole.split(given.shape[1], dim=1), gradients, strict=True):
            if gradient is None:
                part.zero_()
            else:
                part.copy_(gradient)
        return whole, None


class _EvenAndOdd(torch.autograd.Function):
    """`even_and_odd`."""

    @staticmethod
    def forward(ctx: Context, x: Tensor) -> tuple[Tensor, Tensor]:
        ctx.shape = x.shape
        return _thin(x, 0), _thin(x, 1)

    @staticmethod
    def backward(ctx: Context, even: Tensor, odd: Tensor) -> Tensor:
        whole = _empty(ctx.shape, even).zero_()
        whole[:, :, ::2, ::2] = even
        whole[:, :, 1::2, 1::2] = odd[:, :, : ctx.shape[2] // 2, : ctx.shape[3] // 2]
        return whole


class _Even(torch.autograd.Function):
    """`even_pixels`."""

    @staticmethod
    def forward(ctx: Context, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return _thin(x, 0)

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> Tensor:
        whole = _empty(ctx.shape, gradient).zero_()
        whole[:, :, ::2, ::2] = gradient
        return whole


def _empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=FORMAT)


def _thin(x: Tensor, first: int) -> Tensor:
    """Every other pixel from row and column `first` on; odd pixels of an odd side end with a zero border."""
    picked = x[:, :, first::2, first::2]
    if first and (x.shape[2] % 2 or x.shape[3] % 2):
        picked = F.pad(picked, (0, x.shape[3] % 2, 0, x.shape[2] % 2))
    return picked


def _applies(x: Tensor) -> bool:
    """Whether maps are channels last, and run as they are: a compiler lays gradients out by itself."""
    return x.stride(1) == 1 and not torch.compiler.is_compiling()


def join(parts: Sequence[Tensor]) -> Tensor:
    """Maps side by side along channels."""
    if len(parts) == 1:
        return parts[0]
    if not _applies(parts[0]):
        return torch.cat(list(parts), dim=1)
    result: Tensor = _Joined.apply(*parts)  # type: ignore[no-untyped-call]
    return result


def pieces(x: Tensor, channels: int) -> tuple[Tensor, ...]:
    """Views of `x`, `channels` channels each: the inverse of `join`."""
    if x.shape[1] == channels:
        return (x,)
    result: tuple[Tensor, ...]
    result = _Pieces.apply(x, channels) if _applies(x) else x.split(channels, dim=1)  # type: ignore[no-untyped-call]
    return result


def even_pixels(x: Tensor) -> Tensor:
    """Pixels of even rows and columns, [B, C, ⌈H/2⌉, ⌈W/2⌉]."""
    result: Tensor = _Even.apply(x) if _applies(x) else _thin(x, 0)  # type: ignore[no-untyped-call]
    return result


def even_and_odd(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pixels of even rows and columns and those of odd ones, [B, C, ⌈H/2⌉, ⌈W/2⌉] each."""
    result: tuple[Tensor, Tensor]
    result = _EvenAndOdd.apply(x) if _applies(x) else (_thin(x, 0), _thin(x, 1))  # type: ignore[no-untyped-call]
    return result
