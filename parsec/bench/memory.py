"""Memory and time of search steps: against K, against depth, beside single networks."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from parsec.bench.harness import Step, in_turn, stopwatch_for
from parsec.bench.workload import SEED, TINY, BenchJob, Size, Workload, compute, sizes, workload
from parsec.config.base import Compute
from parsec.config.jobs import DepthsJob, MeasureJob, SearchJob
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, open_split, read_info
from parsec.data.loader import epoch_order, open_images
from parsec.network.complexity import child_bytes
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.records.provenance import begin, provenance, write_json
from parsec.runtime.device import acquire_gpu, device_name, memory_format, peak_bytes, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file
from parsec.runtime.rng import ShardedRNG, generator
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.methods import METHODS
from parsec.search.run import make_task
from parsec.space.spaces import SPACES

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
    if not isinstance(executor, GroupedExecutor):
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


SINGLE_PROCESS = "one child trained alone"
SEARCH = "search step"
DARTS = "DARTS supernet"


class Setting(NamedTuple):
    """One line of the measurement."""

    name: str
    executor: str
    samples: int
    """K."""
    build: Callable[[], Step]


def _workload(job: MeasureJob, data: Path, device: torch.device) -> Workload:
    """The first training batch, and as many children as the largest K needs."""
    info = read_info(data)
    augment = Augment(job.augmentation, info, memory_format(job.compute.layout))
    part = open_images(open_split(data, "train", job.train_images), device, SEED)
    order = epoch_order(len(part), job.batch_size, SEED, "training order", 0)
    draws = ShardedRNG(generator(SEED, "training augmentation", device=device))
    images, labels = part.train(order[0], augment, draws, 0)
    prior = Prior(job.prior)
    table = prior.children(prior.sample(max(job.measure.samples), generator(SEED, "architectures"))).table
    return Workload(
        job.network, len(info.classes), images, labels, ArchitectureBatch(table.to(device)), job.compute.precision
    )


def _settings(job: MeasureJob, load: Workload) -> list[Setting]:
    """The hungriest child alone, because the search runs them all; every K; and DARTS' supernet, whole iteration."""
    layout = memory_format(job.compute.layout)
    alone = [partial(load.alone, child, layout) for child in load.children.genotypes]
    hungriest = max(alone, key=lambda build: held(build, load.device))
    settings = [Setting(SINGLE_PROCESS, "one", 1, hungriest)]
    for choice in _computes(job.compute, load.device):
        for samples in job.measure.samples:
            few = load.first(samples)
            settings.append(Setting(SEARCH, choice.executor, samples, partial(few.search_step, choice)))
    return [*settings, Setting(DARTS, "darts", 1, partial(load.darts, layout))]


def _computes(compute: Compute, device: torch.device) -> list[Compute]:
    """Every executor that is made for the device, with as many children in flight as the settings allow."""
    every = compute.model_copy(update={"skip_negligible": False})
    names = ("one", "stacked", "table") if device.type == "cuda" else ("one", "stacked")
    return [every.model_copy(update={"executor": name}) for name in names]


def _rows(settings: list[Setting], repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Peak memory of building and running every step, and its time, all in turn after one run that warms up."""
    steps = {f"{s.name}, {s.executor}, K = {s.samples}": s.build() for s in settings}
    stopwatch = stopwatch_for(device)
    in_turn(steps, 1, stopwatch)
    times = in_turn(steps, repeats, stopwatch)
    rows = []
    for setting, (name, time) in zip(settings, times.items(), strict=True):
        peak = held(setting.build, device)
        logger.info("measured %s: %.3f s, %.1f MB", name, time.median, peak / 1e6)
        rows.append(
            {
                "setting": setting.name,
                "executor": setting.executor,
                "samples": setting.samples,
                "seconds": time.median,
                "seconds_spread": list(time.spread),
                "peak_bytes": peak,
            }
        )
    return rows


def measure(job: MeasureJob, data: Path, output: Path) -> None:
    """Measure the search step of a stage for every K of the settings and write the rows as JSON."""
    beginning = begin("parsec.bench.memory")
    check_file(output, "json measure")
    set_deterministic(job.compute.deterministic)
    with acquire_gpu(resolve(job.compute.device)) as device:
        load = _workload(job, data, device)
        document = {
            "kind": "measure",
            "stage": job.stage,
            "network": job.network.model_dump(),
            "batch_size": job.batch_size,
            "image_size": load.images.shape[-1],
            "device": device_name(device),
            "rows": _rows(_settings(job, load), job.measure.repeats, device),
            "provenance": provenance(job, beginning, read_info(data)),
        }
    write_json(output, document)


STEPS = 3
"""Steps of a measurement: children differ, and the hungriest of them counts."""


def measure_depths(job: DepthsJob, data: Path, output: Path) -> None:
    """Measure the most bytes of tensors at once while a search starts and takes a few steps; write the rows as JSON.

    Weights, gradients, optimisers, maps and a batch of each half count.

    Raises:
        DatasetError: the data set is missing, damaged or smaller than a batch.
    """
    beginning, info = begin("parsec.bench.memory"), read_info(data)
    check_file(output, "json depths")
    compute = job.methods[0].compute
    set_deterministic(compute.deterministic)
    with acquire_gpu(resolve(compute.device)) as device:
        rows = [_row(each, cells, data, info, device) for each in _contenders(job) for cells in job.depths]
        document = {
            "kind": "depths",
            "device": device_name(device),
            "rows": rows,
            "provenance": provenance(job, beginning, info),
        }
    write_json(output, document)


def _contenders(job: DepthsJob) -> list[SearchJob]:
    """PARSEC one child after another, as it is published, and as the settings run it; the others as they are.

    On NAS-Bench-201 there is but one way to run it.
    """
    found = []
    for each in job.methods:
        if each.method == "parsec":
            found.append(each.model_copy(update={"compute": each.compute.model_copy(update={"executor": "one"})}))
        if each.method != "parsec" or (each.compute.executor != "one" and each.space == "darts"):
            found.append(each)
    return found


def _row(job: SearchJob, cells: int, data: Path, info: DatasetInfo, device: torch.device) -> dict[str, Any]:
    network = job.settings.network.model_copy(update={"cells": cells})
    deep = job.model_copy(update={"settings": job.settings.model_copy(update={"network": network})})
    peak = peak_bytes(lambda: _run(deep, data, info, device), device)
    logger.info("measured %s, %d cells: %.1f MB", job.method, cells, peak / 1e6)
    return {"method": job.method, "executor": job.compute.executor, "cells": cells, "peak_bytes": peak}


def _run(job: SearchJob, data: Path, info: DatasetInfo, device: torch.device) -> None:
    prior = Prior(job.prior, space=SPACES[job.space])
    method = METHODS[job.method](make_task(job, data, info, SEED, prior, device))
    for _ in range(STEPS):
        method.advance()
