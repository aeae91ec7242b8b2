"""A comparison: named contenders doing the same work, timed in turn, each beside its floor and the reference."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch

from parsec.bench.counts import count
from parsec.bench.floor import Rates
from parsec.bench.rounds import Step, in_turn, stopwatch_for
from parsec.runtime.logs import logger


class Target(NamedTuple):
    """What a row, or the best of some rows, must reach against the reference."""

    rows: tuple[str, ...]
    """Contenders of which the fastest counts."""
    speedup: float
    """At least so many times as fast as the reference."""


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
    target: Target | None = None


def hold(contest: Contest, device: torch.device, rates: Rates) -> dict[str, Any]:
    """Warm up and count every step once, time all in turn: a document with one row a contender."""
    logger.info("%s: %d contenders, %d rounds", contest.title, len(contest.steps), contest.rounds)
    counted = {name: count(step) for name, step in contest.steps.items()}
    times = in_turn(contest.steps, contest.rounds, stopwatch_for(device))
    rows = []
    for name, time in times.items():
        floor = rates.floor(counted[name])
        rows.append(
            {
                "contender": name,
                "seconds": list(time.seconds),
                "median": time.median,
                "fastest": time.spread[0],
                "slowest": time.spread[1],
                "rate": contest.work / time.median,
                "speedup": times[contest.reference].median / time.median,
                **counted[name]._asdict(),
                "floor": floor,
                "distance": time.median / floor,
            }
        )
    document = {"title": contest.title, "unit": contest.unit, "work": contest.work, "reference": contest.reference}
    return {**document, "rows": rows, "target": _reached(contest.target, rows)}


def _reached(target: Target | None, rows: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The target with the contender that came nearest and what it reached."""
    if target is None:
        return None
    best = max((row for row in rows if row["contender"] in target.rows), key=lambda row: row["speedup"])
    reached = best["speedup"] >= target.speedup
    return {
        "contender": best["contender"],
        "speedup": best["speedup"],
        "target": target.speedup,
        "reached": reached,
    }
