"""The search: images × children a second of every executor, and the time of a full iteration against DARTS'."""

from collections.abc import Iterator
from typing import Any

import torch

from parsec.bench.contest import Contest, Target, hold
from parsec.bench.floor import Rates
from parsec.bench.job import BenchJob, Size, sizes
from parsec.bench.rounds import Step
from parsec.bench.workload import Workload

PLAIN = "plain modules, contiguous"
DARTS = "DARTS first order, contiguous"
SPEEDUPS = {"digits": 1.3, "small": 1.0}
"""Least speed of the best `stacked` against the plain child on a CPU, by size."""
ITERATION_SHARE = 0.45
"""Most that a PARSEC iteration may take of a DARTS iteration on a CPU, at the size `small`."""


def bench_search(job: BenchJob, device: torch.device, rates: Rates) -> Iterator[dict[str, Any]]:
    """Two contests at every size, each handed over when it is done."""
    for size in sizes(job):
        workload = Workload(job, size, device)
        yield hold(_executors(workload), device, rates)
        yield hold(_iterations(workload), device, rates)


def _executors(workload: Workload) -> Contest:
    size, on_cpu = workload.size, workload.device.type == "cpu"
    steps: dict[str, Step] = {
        PLAIN: workload.plain(torch.contiguous_format),
        "plain modules, channels last": workload.plain(torch.channels_last),
        "one": workload.forward_backward(workload.executor("one")),
    }
    stacked = {f"stacked, S = {s}": workload.forward_backward(workload.executor("stacked", s)) for s in size.stacked}
    steps |= stacked
    if not on_cpu:
        steps["table"] = workload.forward_backward(workload.executor("table"))
    return Contest(
        title=f"{_described(size)}: {size.children} children forward and backward",
        unit="images × children",
        work=size.batch_size * size.children,
        reference=PLAIN if on_cpu else "one",
        steps=steps,
        rounds=workload.job.rounds or size.rounds,
        target=Target(tuple(stacked), SPEEDUPS[size.name]) if on_cpu and size.name in SPEEDUPS else None,
    )


def _iterations(workload: Workload) -> Contest:
    size, on_cpu = workload.size, workload.device.type == "cpu"
    parsec = {
        "PARSEC, all children": workload.parsec(workload.executor("auto")),
        "PARSEC, negligible ones skipped": workload.parsec(workload.executor("auto", skip=True)),
    }
    steps: dict[str, Step] = {
        DARTS: workload.darts(torch.contiguous_format),
        "DARTS first order, channels last": workload.darts(torch.channels_last),
        **parsec,
    }
    if not on_cpu:
        steps["PARSEC, executor one"] = workload.parsec(workload.executor("one"))
    return Contest(
        title=f"{_described(size)}: a full iteration, K = {size.samples}",
        unit="iterations",
        work=1,
        reference=DARTS,
        steps=steps,
        rounds=workload.job.rounds or size.iteration_rounds,
        target=Target(tuple(parsec), 1 / ITERATION_SHARE) if on_cpu and size.name == "small" else None,
    )


def _described(size: Size) -> str:
    network = size.network
    pixels = f"{size.image_size} × {size.image_size}"
    return f"{network.cells} cells × {network.channels} channels, {pixels} pixels, batch {size.batch_size}"
