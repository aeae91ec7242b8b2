"""A comparison: named contenders doing the same work, timed in turn, each beside its floor and the reference."""

import operator
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import torch

from parsec.bench.counts import Counts, count
from parsec.bench.floor import Rates
from parsec.bench.rounds import Step, Timing, in_turn, stopwatch_for
from parsec.runtime.logs import logger

Row = dict[str, Any]
CUDA_WARM_UP = 3
"""Further steps before the timing on a GPU: libraries choose kernels, graphs are captured, memory is laid out."""


class Target(NamedTuple):
    """What the best of some contenders must reach."""

    contenders: tuple[str, ...]
    quantity: Literal["speedup", "rate", "median"]
    value: float
    """At least so much of a speedup or a rate, or at most so many seconds."""


class Contest(NamedTuple):
    """Contenders that do the same work."""

    title: str
    unit: str
    """What is counted in `work`."""
    work: int
    """How much of it one step does."""
    reference: str
    """Name of the contender that the others are compared with."""
    steps: Mapping[str, Step]
    rounds: int
    targets: tuple[Target, ...] = ()
    counted_as: Mapping[str, str | None] = {}
    """For contenders whose kernels torch does not see: one with the same work that it sees, or None for no floor."""


def hold(contest: Contest, device: torch.device, rates: Rates) -> dict[str, Any]:
    """Warm up and count every step, then time all in turn: a document with one row a contender."""
    logger.info("%s: %d contenders, %d rounds", contest.title, len(contest.steps), contest.rounds)
    counted = _warmed_up(contest, device)
    times = in_turn(contest.steps, contest.rounds, stopwatch_for(device))
    reference = times[contest.reference]
    rows = [_row(name, time, contest.work, reference) for name, time in times.items()]
    for row in rows:
        seen = contest.counted_as.get(row["contender"], row["contender"])
        row |= _beside_floor(row["median"], counted[seen], rates) if seen else {}
    return {
        "title": contest.title,
        "unit": contest.unit,
        "work": contest.work,
        "reference": contest.reference,
        "rows": rows,
        "targets": [_outcome(target, rows) for target in contest.targets],
    }


def _warmed_up(contest: Contest, device: torch.device) -> dict[str, Counts]:
    """Run everything before the clock does; the first run of a step that torch sees is also its count."""
    counted = {name: count(step) for name, step in contest.steps.items() if name not in contest.counted_as}
    for name, step in contest.steps.items():
        for _ in range(CUDA_WARM_UP if device.type == "cuda" else name in contest.counted_as):
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


def _beside_floor(median: float, counts: Counts, rates: Rates) -> Row:
    floor = rates.floor(counts)
    return {**counts._asdict(), "floor": floor, "distance": median / floor}


def _outcome(target: Target, rows: Iterable[Row]) -> Row:
    """The target, the contender that came nearest, and what it reached."""
    candidates = [row for row in rows if row["contender"] in target.contenders]
    choose, within = (min, operator.le) if target.quantity == "median" else (max, operator.ge)
    best = choose(candidates, key=lambda row: row[target.quantity])
    found = best[target.quantity]
    return {
        "contender": best["contender"],
        "quantity": target.quantity,
        "target": target.value,
        "found": found,
        "reached": within(found, target.value),
    }
