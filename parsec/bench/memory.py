"""Memory and time of search steps: against K, against depth, beside single networks."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from parsec.bench.harness import Step, in_turn, stopwatch_for
from parsec.bench.workload import SEED, TINY, BenchJob, Size, Workload, compute, sampled_workload, sizes, workload
from parsec.config.base import Compute, ExecutorName
from parsec.config.search import DepthsJob, MeasureJob, SearchJob
from parsec.data.augment import Augment
from parsec.data.dataset import DatasetInfo, open_split, read_info
from parsec.data.loader import epoch_order, open_images
from parsec.network.cell_network import child_bytes
from parsec.prior.distribution import Prior
from parsec.records.provenance import provenance, start_provenance, write_json
from parsec.runtime.device import acquire_gpu, device_name, memory_format, peak_bytes, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file
from parsec.runtime.rng import ShardedRNG, generator
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.methods import METHODS
from parsec.search.run import make_task
from parsec.space.spaces import SPACES

LIMIT = 1.05
"""Most that a search step of executor `sequential` may hold, relative to its most memory-hungry architecture trained
by itself."""
SAMPLES = (1, 4, 16)

Row = dict[str, Any]


def measure_peak(build: Callable[[], Step], device: torch.device) -> int:
    """Peak bytes of tensors while a step is built, including its weights, and run."""
    return peak_bytes(lambda: build()(), device)


def bench_memory(job: BenchJob, device: torch.device) -> Iterator[dict[str, Any]]:
    """One comparison per size, all in the memory layout of the executors: each executor, and the choice of `auto`."""
    for size in sizes(job, device):
        logger.info("%s: memory", size)
        yield _comparison(job, size, device)


def _comparison(job: BenchJob, size: Size, device: torch.device) -> dict[str, Any]:
    load = workload(job, size, device, max(SAMPLES))
    # The reference: each architecture as a plain network of its own.
    plain = [partial(load.plain_child, child, torch.channels_last) for child in load.children.genotypes]
    single = [measure_peak(build, device) for build in plain]

    def row(contender: str, build: Callable[[Workload], Step], samples: int = len(single)) -> Row:
        peak = measure_peak(partial(build, load.first(samples)), device)
        reference = max(single[:samples])
        return {"contender": contender, "peak_bytes": peak, "reference_bytes": reference, "ratio": peak / reference}

    def step_with(executor: ExecutorName, in_flight: int | None = None) -> Callable[[Workload], Step]:
        return lambda few: few.search_step(compute(job, executor, in_flight))

    sequential = [row(f"sequential, K = {k}", step_with("sequential"), k) for k in SAMPLES]
    grouped = [
        row(f"grouped, S = K = {s}", step_with("grouped", s), s) | {"budget_bytes": _budget(load, s)}
        for s in size.grouped
    ]
    fused = [row(f"fused, K = {max(SAMPLES)}", step_with("fused"))] if device.type == "cuda" else []
    auto = row(f"auto ({_auto_choice(load, job)}), K = {max(SAMPLES)}", step_with("auto"))
    darts = row("DARTS supernet", lambda few: few.darts(torch.channels_last))
    return {
        "title": f"{size}: peak memory of a search step",
        "unit": "bytes",
        "reference": "the hungriest of the K children trained alone",
        "rows": [*sequential, *grouped, *fused, auto, darts],
        "targets": [] if size is TINY else _limits(sequential, grouped),
    }


def _auto_choice(load: Workload, job: BenchJob) -> str:
    """Executor that the default, `auto`, chooses for this workload."""
    executor = load.executor(compute(job, "auto"))
    if isinstance(executor, GroupedExecutor):
        return f"grouped, S = {min(executor.in_flight, len(load.children.genotypes))}"
    return "fused" if isinstance(executor, CUDAGraphRunner) else "sequential"


def _budget(load: Workload, in_flight: int) -> int:
    """Bytes that `memory_gib` must allow for S architectures in flight, plus weights and gradient."""
    flat = load.executor(Compute(executor="sequential")).supernet.weights.flat
    maps = in_flight * child_bytes(load.network, len(load.images), load.images.shape[-1])
    return maps + 2 * flat.numel() * flat.element_size()


def _limits(sequential: list[Row], grouped: list[Row]) -> list[Row]:
    """Verdicts on both limits; not for tiny networks, whose shared weights outweigh the feature maps."""
    shares = [(row["contender"], row["peak_bytes"] / row["budget_bytes"]) for row in grouped]
    return [
        _verdict("ratio", LIMIT, [(row["contender"], row["ratio"]) for row in sequential]),
        _verdict("budget", 1.0, shares),
    ]


def _verdict(quantity: str, limit: float, values: list[tuple[str, float]]) -> Row:
    """Whether the worst contender keeps a limit."""
    contender, worst = max(values, key=lambda pair: pair[1])
    return {"contender": contender, "quantity": quantity, "target": limit, "found": worst, "reached": worst <= limit}


SINGLE = "one child trained alone"
SEARCH = "search step"
DARTS = "DARTS supernet"


def _workload(job: MeasureJob, data: Path, device: torch.device) -> Workload:
    """The first training batch, and as many architectures as the largest K needs."""
    info = read_info(data)
    augment = Augment(job.augmentation, info, memory_format(job.compute.layout))
    split = open_images(open_split(data, "train", job.train_images), device, SEED)
    order = epoch_order(len(split), job.batch_size, SEED, "training order", 0)
    rng = ShardedRNG(generator(SEED, "training augmentation", device=device))
    images, labels = split.train(order[0], augment, rng, 0)
    children = max(job.measure.samples)
    return sampled_workload(job.network, len(info.classes), images, labels, children, job.compute.precision)


def _steps(job: MeasureJob, load: Workload) -> list[tuple[Row, Callable[[], Step]]]:
    """Facts and builders of the steps: the most memory-hungry architecture by itself, every executor and K, and DARTS.

    Executors are those made for the device, with as many architectures in flight as the settings allow.
    """
    layout = memory_format(job.compute.layout)
    single = [partial(load.plain_child, child, layout) for child in load.children.genotypes]
    hungriest = max(single, key=lambda build: measure_peak(build, load.device))
    steps: list[tuple[Row, Callable[[], Step]]] = [
        ({"setting": SINGLE, "executor": "sequential", "samples": 1}, hungriest)
    ]
    common = job.compute.model_copy(update={"skip_negligible": False})
    for executor in ("sequential", "grouped", *(["fused"] if load.device.type == "cuda" else [])):
        compute = common.model_copy(update={"executor": executor})
        for samples in job.measure.samples:
            row = {"setting": SEARCH, "executor": executor, "samples": samples}
            steps.append((row, partial(load.first(samples).search_step, compute)))
    return [*steps, ({"setting": DARTS, "executor": "darts", "samples": 1}, partial(load.darts, layout))]


def _measured(steps: list[tuple[Row, Callable[[], Step]]], repeats: int, device: torch.device) -> list[Row]:
    """Peak memory of building and running each step, and its time, measured in turn after one warm-up run."""
    names = [f"{row['setting']}, {row['executor']}, K = {row['samples']}" for row, _ in steps]
    built = {name: build() for name, (_, build) in zip(names, steps, strict=True)}
    stopwatch = stopwatch_for(device)
    in_turn(built, 1, stopwatch)
    times = in_turn(built, repeats, stopwatch)
    rows = []
    for (row, build), (name, time) in zip(steps, times.items(), strict=True):
        peak = measure_peak(build, device)
        logger.info("measured %s: %.3f s, %.1f MB", name, time.median, peak / 1e6)
        rows.append({**row, "seconds": time.median, "seconds_spread": list(time.spread), "peak_bytes": peak})
    return rows


def measure(job: MeasureJob, data: Path, output: Path) -> None:
    """Measure the search step of a stage for every K of the settings and write the rows as JSON."""
    run_start = start_provenance("parsec.bench.memory")
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
            "rows": _measured(_steps(job, load), job.measure.repeats, device),
            "provenance": provenance(job, run_start, read_info(data)),
        }
    write_json(output, document)


STEPS = 3
"""Steps of a measurement: architectures differ, and the most memory-hungry one counts."""


def measure_depths(job: DepthsJob, data: Path, output: Path) -> None:
    """Measure peak bytes of tensors while a search starts and takes a few steps; write the rows as JSON.

    Weights, gradients, optimizers, feature maps and a batch of each split count.

    Raises:
        DatasetError: the data set is missing, damaged or smaller than a batch.
    """
    run_start, info = start_provenance("parsec.bench.memory"), read_info(data)
    check_file(output, "json depths")
    compute = job.methods[0].compute
    set_deterministic(compute.deterministic)
    with acquire_gpu(resolve(compute.device)) as device:
        rows = [
            _peak_of_search(method, cells, data, info, device) for method in _contenders(job) for cells in job.depths
        ]
        document = {
            "kind": "depths",
            "device": device_name(device),
            "rows": rows,
            "provenance": provenance(job, run_start, info),
        }
    write_json(output, document)


def _contenders(job: DepthsJob) -> list[SearchJob]:
    """PARSEC sequentially, as published, and with the executor of the settings; other methods as they are.

    NAS-Bench-201 has the sequential executor only.
    """
    contenders = []
    for method in job.methods:
        if method.method == "parsec":
            compute = method.compute.model_copy(update={"executor": "sequential"})
            contenders.append(method.model_copy(update={"compute": compute}))
        if method.method != "parsec" or (method.compute.executor != "sequential" and method.space == "darts"):
            contenders.append(method)
    return contenders


def _peak_of_search(job: SearchJob, cells: int, data: Path, info: DatasetInfo, device: torch.device) -> dict[str, Any]:
    network = job.settings.network.model_copy(update={"cells": cells})
    deep = job.model_copy(update={"settings": job.settings.model_copy(update={"network": network})})
    peak = peak_bytes(lambda: _run(deep, data, info, device), device)
    logger.info("measured %s, %d cells: %.1f MB", job.method, cells, peak / 1e6)
    return {"method": job.method, "executor": job.compute.executor, "cells": cells, "peak_bytes": peak}


def _run(job: SearchJob, data: Path, info: DatasetInfo, device: torch.device) -> None:
    prior = Prior(job.form, space=SPACES[job.space])
    trainer = METHODS[job.method](make_task(job, data, info, SEED, prior, device))
    for _ in range(STEPS):
        trainer.advance()
