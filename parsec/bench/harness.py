"""Timing in turn: alternating rounds, counted operations and bytes, the roofline bound, comparisons."""

import operator
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from parsec.runtime.device import device_name
from parsec.runtime.logs import logger

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


aten = torch.ops.aten
FREE = {aten.empty, aten.empty_like, aten.empty_strided, aten.new_empty, aten.new_empty_strided, aten._unsafe_view}
"""Operations that move nothing and are no views by name: the result holds no values yet, or is its input."""
FIRST_UNREAD = {aten.zero_, aten.fill_, aten.copy_, aten.zeros_like, aten.ones_like, aten.full_like}
"""Operations whose first argument is overwritten or only lends its shape."""


class Counts(NamedTuple):
    """Lower bound on the work of a step if no two of its operations are fused."""

    bytes: int
    """Every operation reads its inputs and writes its results once."""
    operations: int
    """Of convolutions and matrix products; a multiplication and an addition are two."""


class Counter(TorchDispatchMode):
    """Counts all tensor operations of torch, forward and backward, that run while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes, self.operations = 0, 0

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


# Not torch.utils.flop_counter (2.13): it counts the gradients of a grouped convolution as if it had one group, which
# gives a depthwise step three times its operations.
OPERATIONS: dict[Any, Callable[[Sequence[Any], Any], int]] = {
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.mm: _product,
    aten.addmm: _product,
    aten.bmm: _product,
    aten.baddbmm: _product,
}


def count(step: Step) -> Counts:
    """Run a step once and count it."""
    counter = Counter()
    with counter:
        step()
    return Counts(counter.bytes, counter.operations)


ROUNDS = 9


class Rates(NamedTuple):
    """Rates of the device per second, measured."""

    bytes: float
    """Of a large copy, read and written."""
    operations: float
    """Of a large matrix product in the precision of the activations; a multiplication and an addition are two."""

    def bound(self, counts: Counts) -> float:
        """Least seconds of unfused work: the longer of moving its bytes and doing its operations."""
        return max(counts.bytes / self.bytes, counts.operations / self.operations)


def measure_rates(device: torch.device, dtype: torch.dtype) -> Rates:
    """Copy and multiply on the device: the fastest of a few rounds each, because it is a bound that is asked for."""
    elements, side = (2**28, 8192) if device.type == "cuda" else (2**25, 2048)
    source, target = torch.ones(2, elements, device=device).unbind()
    # Random factors: a GPU multiplies ones up to an eighth faster, because they take less power.
    rng = torch.Generator(device).manual_seed(0)
    left, right = torch.randn(2, side, side, generator=rng, dtype=dtype, device=device).unbind()
    out = torch.empty_like(left)
    steps = {"copy": lambda: target.copy_(source), "product": lambda: torch.mm(left, right, out=out)}
    stopwatch = stopwatch_for(device)
    in_turn(steps, 1, stopwatch)
    times = in_turn(steps, ROUNDS, stopwatch)
    moved = 2 * elements * source.element_size()
    return Rates(moved / times["copy"].spread[0], 2 * side**3 / times["product"].spread[0])


Row = dict[str, Any]
CUDA_WARM_UP = 3
"""Further steps before the timing on a GPU: libraries choose kernels, graphs are captured, memory is laid out."""


class Target(NamedTuple):
    """Target that the best of some contenders must reach."""

    contenders: tuple[str, ...]
    quantity: Literal["speedup", "rate", "median"]
    value: float
    """Lower limit of a speedup or a rate, or upper limit of a median, in seconds."""


class Comparison(NamedTuple):
    """Contenders that do the same work."""

    title: str
    unit: str
    """Unit of `work`."""
    work: int
    """How much of it one step does."""
    reference: str
    """Name of the contender that the others are compared with."""
    steps: Mapping[str, Step]
    rounds: int
    targets: tuple[Target, ...] = ()
    counted_as: Mapping[str, str | None] = {}
    """For contenders whose kernels torch does not see: one with the same work that it sees, or None for no bound."""

    def only(self, text: str | None) -> Self:
        """The same with the reference and those contenders only whose names contain `text`; all without a text."""
        if text is None:
            return self
        steps = {name: step for name, step in self.steps.items() if name == self.reference or text in name}
        targets = tuple(
            target._replace(contenders=kept)
            for target in self.targets
            if (kept := tuple(name for name in target.contenders if name in steps))
        )
        counted_as = {name: seen if seen in steps else None for name, seen in self.counted_as.items() if name in steps}
        return self._replace(steps=steps, targets=targets, counted_as=counted_as)


def compare(comparison: Comparison, device: torch.device, rates: Rates) -> dict[str, Any]:
    """Warm up and count every step, then time all in turn: a document with one row per contender."""
    logger.info("%s: %d contenders, %d rounds", comparison.title, len(comparison.steps), comparison.rounds)
    counted = _warmed_up(comparison, device)
    times = in_turn(comparison.steps, comparison.rounds, stopwatch_for(device))
    reference = times[comparison.reference]
    rows = [_row(name, time, comparison.work, reference) for name, time in times.items()]
    for row in rows:
        if seen := comparison.counted_as.get(row["contender"], row["contender"]):
            bound = rates.bound(counted[seen])
            row |= {**counted[seen]._asdict(), "bound": bound, "over_bound": row["median"] / bound}
    return {
        "title": comparison.title,
        "device": device_name(device),
        "unit": comparison.unit,
        "work": comparison.work,
        "reference": comparison.reference,
        "rows": rows,
        "targets": [_outcome(target, rows) for target in comparison.targets],
    }


def _warmed_up(comparison: Comparison, device: torch.device) -> dict[str, Counts]:
    """Run everything before the clock does; the first run of a step that torch sees is also its count."""
    counted = {name: count(step) for name, step in comparison.steps.items() if name not in comparison.counted_as}
    for name, step in comparison.steps.items():
        for _ in range(CUDA_WARM_UP if device.type == "cuda" else name in comparison.counted_as):
            step()
    return counted


def _row(name: str, time: Timing, work: int, reference: Timing) -> Row:
    fastest, slowest = time.spread
    return {
        "contender": name,
        "seconds": list(time.seconds),
        "median": time.median,
        "fastest": fastest,
        "slowest": slowest,
        "rate": work / time.median,
        "speedup": time.speedup(reference),
    }


def _outcome(target: Target, rows: Iterable[Row]) -> Row:
    """The target, the contender that came nearest, and what it reached."""
    candidates = [row for row in rows if row["contender"] in target.contenders]
    choose, within = (min, operator.le) if target.quantity == "median" else (max, operator.ge)
    best = choose(candidates, key=lambda row: row[target.quantity])
    value = best[target.quantity]
    return {
        "contender": best["contender"],
        "quantity": target.quantity,
        "target": target.value,
        "found": value,
        "reached": within(value, target.value),
    }
