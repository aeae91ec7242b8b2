"""How fast a step could be here: what it moves and computes, over what this machine copies and multiplies a second."""

from typing import NamedTuple

import torch

from parsec.bench.counts import Counts
from parsec.bench.rounds import Stopwatch, in_turn

ROUNDS = 9


class Rates(NamedTuple):
    """What the device does a second, measured."""

    bytes: float
    """Of a large copy, read and written."""
    operations: float
    """Of a large matrix product in the precision of the activations; a multiplication and an addition are two."""

    def floor(self, counts: Counts) -> float:
        """Least seconds of unfused work: the longer of moving its bytes and doing its operations."""
        return max(counts.bytes / self.bytes, counts.operations / self.operations)


def measure_rates(device: torch.device, dtype: torch.dtype, stopwatch: Stopwatch) -> Rates:
    """Copy and multiply on the device: the fastest of a few rounds each, because it is a bound that is asked for."""
    elements, side = (2**28, 8192) if device.type == "cuda" else (2**25, 2048)
    source, target = torch.ones(2, elements, device=device).unbind()
    left, right = torch.ones(2, side, side, dtype=dtype, device=device).unbind()
    out = torch.empty_like(left)
    steps = {"copy": lambda: target.copy_(source), "product": lambda: torch.mm(left, right, out=out)}
    in_turn(steps, 1, stopwatch)
    times = in_turn(steps, ROUNDS, stopwatch)
    moved = 2 * elements * source.element_size()
    return Rates(moved / times["copy"].spread[0], 2 * side**3 / times["product"].spread[0])
