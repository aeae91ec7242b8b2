"""Memory: what a search step holds at most, beside training one of its children alone and beside DARTS' supernet.

Weights and gradients count, because each of them needs its own.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from parsec.bench.job import TINY, BenchJob, Size, compute, sizes, workload
from parsec.bench.rounds import Step
from parsec.bench.workload import Workload
from parsec.network.executors.stacked import Stacked
from parsec.network.footprint import child_bytes
from parsec.runtime.logs import logger
from parsec.runtime.memory import peak_bytes
from parsec.settings.compute import Compute

LIMIT = 1.05
"""Most that a search step of executor `one` may hold, in units of the hungriest of its children trained alone."""
SAMPLES = (1, 4, 16)

Row = dict[str, Any]


def held(build: Callable[[], Step], device: torch.device) -> int:
    """Most bytes of tensors at once while a step is built, weights and all, and run."""
    return peak_bytes(lambda: build()(), device)


def bench_memory(job: BenchJob, device: torch.device) -> Iterator[dict[str, Any]]:
    """One comparison at every size, all in the layout of the executors: each of these, and what `auto` takes."""
    for size in sizes(job, device):
        logger.info("%s: memory", size)
        yield _comparison(job, size, device)


def _comparison(job: BenchJob, size: Size, device: torch.device) -> dict[str, Any]:
    load = workload(job, size, device, max(SAMPLES))
    alone = [held(partial(load.alone, child, torch.channels_last), device) for child in load.children.genotypes]

    def row(contender: str, build: Callable[[Workload], Step], samples: int = len(alone)) -> Row:
        peak = held(partial(build, load.first(samples)), device)
        reference = max(alone[:samples])
        return {"contender": contender, "peak_bytes": peak, "reference_bytes": reference, "ratio": peak / reference}

    one = [row(f"one, K = {k}", lambda few: few.search_step(compute(job, "one")), k) for k in SAMPLES]
    stacked = [
        row(f"stacked, S = K = {s}", lambda few, s=s: few.search_step(compute(job, "stacked", s)), s)  # type: ignore[misc]
        | {"budget_bytes": _budget(load, s)}
        for s in size.stacked
    ]
    table = (
        [row(f"table, K = {max(SAMPLES)}", lambda few: few.search_step(compute(job, "table")))]
        if device.type == "cuda"
        else []
    )
    auto = row(f"auto ({_chosen(load, job)}), K = {max(SAMPLES)}", lambda few: few.search_step(compute(job, "auto")))
    darts = row("DARTS supernet", lambda few: few.darts(torch.channels_last))
    return {
        "title": f"{size}: peak memory of a search step",
        "unit": "bytes",
        "reference": "the hungriest of the K children trained alone",
        "rows": [*one, *stacked, *table, auto, darts],
        "targets": [] if size is TINY else _limits(one, stacked),
    }


def _chosen(load: Workload, job: BenchJob) -> str:
    """What the default, `auto`, takes here for the children of the workload."""
    executor = load.executor(compute(job, "auto"))
    if not isinstance(executor, Stacked):
        return type(executor).__name__.lower()
    return f"stacked, S = {min(executor.in_flight, len(load.children.genotypes))}"


def _budget(load: Workload, in_flight: int) -> int:
    """What the settings' `memory_gib` must be for S children in flight, with weights and gradient."""
    flat = load.executor(Compute(executor="one")).supernet.bank.flat
    children = in_flight * child_bytes(load.network, len(load.images), load.images.shape[-1])
    return children + 2 * flat.numel() * flat.element_size()


def _limits(one: list[Row], stacked: list[Row]) -> list[Row]:
    """In a tiny network the shared weights outweigh the maps, so that only real ones are judged."""
    shares = [(each["contender"], each["peak_bytes"] / each["budget_bytes"]) for each in stacked]
    return [
        _outcome("ratio", LIMIT, [(each["contender"], each["ratio"]) for each in one]),
        _outcome("budget", 1.0, shares),
    ]


def _outcome(quantity: str, limit: float, found: list[tuple[str, float]]) -> Row:
    """Whether the worst of some contenders keeps a limit."""
    contender, worst = max(found, key=lambda pair: pair[1])
    return {
        "contender": contender,
        "quantity": quantity,
        "target": limit,
        "found": worst,
        "reached": worst <= limit,
    }
