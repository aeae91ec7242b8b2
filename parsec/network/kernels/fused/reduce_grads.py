"""Weight gradients from their parts into the flat gradient, in a fixed order."""

import triton
import triton.language as tl
from torch import Tensor

WIDTH = 64
"""Numbers that one program adds up."""


@triton.jit
def reduce_kernel(
    partials, row_step, part_step, places, places_step, sizes, sizes_step, gradient, rows, count,
    R: tl.constexpr, T: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """The first of all rows with one place adds the parts of each of them, row by row."""
    row = tl.program_id(1)
    place = tl.load(places + row * places_step)
    if place < 0:
        return
    # Children that chose the same edge and primitive share its weights: the program of the first such row adds up all.
    others = tl.arange(0, R)
    same = tl.load(places + others * places_step, mask=others < row, other=-1) == place
    if tl.sum(same.to(tl.int32), 0) > 0:
        return
    at, part = tl.program_id(0) * WIDTH + tl.arange(0, WIDTH), tl.arange(0, T)
    inside = at < tl.load(sizes + row * sizes_step)
    mask = (part < count)[:, None] & inside[None, :]
    total = tl.zeros([WIDTH], tl.float32)
    for other in range(row, rows):
        if tl.load(places + other * places_step) == place:
            base = partials + tl.cast(other, tl.int64) * row_step
            total += tl.sum(tl.load(base + part[:, None] * part_step + at[None, :], mask=mask, other=0.0), 0)
    total += tl.load(gradient + place + at, mask=inside, other=0.0)
    tl.store(gradient + place + at, total, mask=inside)


def reduce_weight_grads(partials: Tensor, places: Tensor, sizes: Tensor, gradient: Tensor) -> None:
    """See `Operations.reduce_weight_grads`."""
    rows, count, width = partials.shape
    grid = (triton.cdiv(width, WIDTH), rows)
    reduce_kernel[grid](
        partials, partials.stride(0), partials.stride(1), places, places.stride(0), sizes, sizes.stride(0), gradient,
        rows, count, R=triton.next_power_of_2(rows), T=triton.next_power_of_2(count), WIDTH=WIDTH,
    )  # fmt: skip
