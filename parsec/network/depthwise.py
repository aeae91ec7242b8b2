"""Depthwise convolutions, with a backward pass for CPUs that uses only what oneDNN has fast kernels for.

Channels last, oneDNN's gradients of a depthwise convolution fall back to slow loops when the kernel is wider than 3 or
dilated: up to 15 times slower than the forward pass. Both gradients can be written with undilated kernels of width 3
and with forward convolutions; the numbers are the same up to the order of their sums.

B images, C channels, H × W pixels, k × k kernel.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.network.channels_last import Context, even_pixels

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
    """Weight gradient of a k × 3 kernel without dilation, with so many zero columns left and right of the images."""
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
