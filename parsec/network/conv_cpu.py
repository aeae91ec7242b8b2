"""Convolutions and copies in the channels-last format that PyTorch is slow at on the CPU."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

FORMAT = torch.channels_last
Context = Any
"""Context that autograd passes from a forward to its backward pass."""


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
        example = next(gradient for gradient in gradients if gradient is not None)
        whole = _empty(ctx.shape, example)
        for part, gradient in zip(whole.split(example.shape[1], dim=1), gradients, strict=True):
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
    """Whether maps are channels last on a CPU and run as they are: a compiler lays gradients out by itself."""
    return x.device.type == "cpu" and x.stride(1) == 1 and not torch.compiler.is_compiling()


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


WIDTH = 3
"""Widest kernel whose weight gradient is fast."""
LARGE = 2**15
"""Numbers in a map from which on the longer way is the faster one (measured on AVX-512)."""


def depthwise(x: Tensor, weight: Tensor, stride: int, padding: int, dilation: int) -> Tensor:
    """Convolve every channel with its own kernel: [B, C, H, W] and [C, 1, k, k] to [B, C, ⌈H/stride⌉, ⌈W/stride⌉].

    `padding` is the border that keeps the side at stride 1.
    """
    if x.device.type == "cpu" and stride == 2 and dilation == 2:
        # Only even pixels are read (`padding` is even), so this is an undilated convolution of those.
        x, stride, padding, dilation = even_pixels(x), 1, padding // 2, 1
    reach = min(weight.shape[-1] // 2, (max(x.shape[2:]) - 1) // dilation)
    if reach < weight.shape[-1] // 2:
        # The outer taps only ever see the border of so small a map.
        outer = weight.shape[-1] // 2 - reach
        weight, padding = weight[..., outer:-outer, outer:-outer], reach * dilation
    if _slow_backward(x, weight.shape[-1], stride, dilation):
        if torch.is_autocast_enabled("cpu"):
            # The backward pass runs outside of autocast, so both must have one type before.
            x, weight = (each.to(torch.get_autocast_dtype("cpu")) for each in (x, weight))
        result: Tensor = _Depthwise.apply(x, weight, padding, dilation)  # type: ignore[no-untyped-call]
        return result
    return F.conv2d(x, weight, None, stride, padding, dilation, x.shape[1])


def _slow_backward(x: Tensor, kernel: int, stride: int, dilation: int) -> bool:
    """Whether oneDNN would take a slow loop that `_Depthwise` avoids."""
    handled = stride == 1 and dilation <= 2 and 1 < kernel <= WIDTH + 2 and (dilation > 1 or kernel > WIDTH)
    suits = x.device.type == "cpu" and x.stride(1) == 1 and x.numel() >= LARGE
    return handled and suits and not torch.compiler.is_compiling()


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Context, x: Tensor, weight: Tensor, padding: int, dilation: int) -> Tensor:
        """See `depthwise`."""
        ctx.save_for_backward(x, weight)
        ctx.padding, ctx.dilation = padding, dilation
        return F.conv2d(x, weight, None, 1, padding, dilation, x.shape[1])

    @staticmethod
    def backward(ctx: Context, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients with respect to images and weights."""
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        needs_x, needs_weight = ctx.needs_input_grad[:2]
        for_x = _input_gradient(gradient, weight, ctx.padding, ctx.dilation) if needs_x else None
        for_weight = _weight_gradient(x, gradient, weight.shape[-1], ctx.dilation) if needs_weight else None
        return for_x, for_weight, None, None


def _input_gradient(gradient: Tensor, weight: Tensor, padding: int, dilation: int) -> Tensor:
    """The convolution of the output's gradient with the mirrored kernel."""
    return F.conv2d(gradient, weight.flip(2, 3), None, 1, padding, dilation, gradient.shape[1])


def _weight_gradient(x: Tensor, gradient: Tensor, kernel: int, dilation: int) -> Tensor:
    """Correlation of images and gradient at the k² offsets of the kernel, [C, 1, k, k]."""
    if dilation == 2:
        x, gradient = _phases(x), _phases(gradient)
    if kernel == WIDTH:
        return _narrow_gradient(x, gradient, kernel, (1, 1))
    # A kernel of width 5 is the union of its left and of its right three columns.
    border = kernel - WIDTH
    left, right = (_narrow_gradient(x, gradient, kernel, columns) for columns in ((border, 0), (0, border)))
    return torch.cat([left, right[..., WIDTH - border :]], dim=3)


def _narrow_gradient(x: Tensor, gradient: Tensor, kernel: int, columns: tuple[int, int]) -> Tensor:
    """Weight gradient of a k × 3 kernel without dilation; `columns` zero columns are left and right of the images."""
    channels, rows = x.shape[1], kernel // 2
    padding = [rows, columns[0]]
    if columns[0] != columns[1] or x.shape[2] < 2 * kernel:
        # oneDNN knows no uneven border, and is slow where the border is wide for so small a map.
        outer = rows if x.shape[2] < 2 * kernel else 0
        x, padding = F.pad(x, (*columns, outer, outer)), [rows - outer, 0]
    gradients: tuple[Tensor | None, Tensor, Tensor | None] = torch.ops.aten.convolution_backward(
        gradient,
        x,
        x.new_empty(channels, 1, kernel, WIDTH),
        None,
        [1, 1],
        padding,
        [1, 1],
        False,
        [0, 0],
        channels,
        [False, True, False],
    )
    return gradients[1]


def _phases(x: Tensor) -> Tensor:
    """The four images of even and odd rows and columns, [4 B, C, ⌈H/2⌉, ⌈W/2⌉]: a dilation of 2 never mixes them."""
    count, channels, height, width = x.shape
    if height % 2 or width % 2:
        x = F.pad(x, (0, width % 2, 0, height % 2))
    rows, columns = (height + 1) // 2, (width + 1) // 2
    split = x.permute(0, 2, 3, 1).reshape(count, rows, 2, columns, 2, channels)
    return split.permute(2, 4, 0, 1, 3, 5).reshape(4 * count, rows, columns, channels).permute(0, 3, 1, 2)
