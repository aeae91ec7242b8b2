"""Timing several steps fairly: in turn, A B A B, so that a machine that speeds up or slows down does so for all."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch

Step = Callable[[], object]
Stopwatch = Callable[[Step], float]
"""Runs a step and tells its seconds."""


class Timing(NamedTuple):
    """Seconds of one step in every round, in order."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """Median of the rounds, seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """Fastest and slowest round, seconds."""
        return min(self.seconds), max(self.seconds)

    def speedup(self, reference: "Timing") -> float:
        """How many times as fast as the reference: the median of the rounds' own ratios.

        A machine that is slower for some rounds is so for both, which medians taken apart would not cancel.
        """
        return statistics.median(slow / fast for slow, fast in zip(reference.seconds, self.seconds, strict=True))


def in_turn(steps: Mapping[str, Step], rounds: int, stopwatch: Stopwatch) -> dict[str, Timing]:
    """Time every step once a round, in the order given; the caller has warmed them up."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            seconds[name].append(stopwatch(step))
    return {name: Timing(tuple(values)) for name, values in seconds.items()}


def stopwatch_for(device: torch.device) -> Stopwatch:
    """The stopwatch of a device: CUDA events on a GPU, the clock on a CPU."""
    return _cuda_seconds if device.type == "cuda" else _cpu_seconds


def _cpu_seconds(step: Step) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def _cuda_seconds(step: Step) -> float:
    """Between two events: what the GPU did for the step, and what it waited for the host within it."""
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    # Work that still runs from before must not be part of this step.
    torch.cuda.synchronize()
    begin.record()
    step()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3
