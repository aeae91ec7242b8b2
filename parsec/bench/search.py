"""Benchmarks of search steps, against a network of PyTorch modules, and of whole searches that leave work out."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from parsec.bench.harness import Comparison, Rates, Step, Target, compare
from parsec.bench.workload import SEED, BenchJob, Size, Workload, compute, random_images, random_info, sizes, workload
from parsec.config.base import Compute
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.search import Estimator, PriorOptimizer, SearchJob, SearchOptimizer, SearchStage
from parsec.config.training import Augmentation, Network
from parsec.data.augment import Augment
from parsec.data.dataset import read_info
from parsec.data.prepare import prepare
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.runtime.device import memory_format
from parsec.runtime.logs import logger
from parsec.search.base import SearchTask
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.sequential import SequentialExecutor
from parsec.search.parsec import Parsec
from parsec.search.run import make_task


class _FixedDraws(Parsec):
    """A search whose π-steps all run the same K architectures, and whose v-steps another K, the same each.

    Libraries choose their kernels when they first meet a shape, and the shapes of executor `grouped` follow from the
    architectures: with fresh ones in every step the choosing would be timed.
    """

    def __init__(self, task: SearchTask) -> None:
        super().__init__(task)
        self._kept: list[tuple[Tensor, Tensor]] = []
        self._taken = 0

    def sample_architectures(self, prior: Prior, count: int) -> tuple[Tensor, ArchitectureBatch]:
        """Sample as a search does, which takes its time, and return what was sampled for this kind of step at first."""
        indices, architectures = super().sample_architectures(prior, count)
        if len(self._kept) < 2:
            self._kept.append((indices, architectures.table))
        indices, table = self._kept[self._taken % 2]
        self._taken += 1
        return indices, ArchitectureBatch(table)


class Iteration:
    """A π-step and a v-step with K architectures each, from a uniform π; both on the workload's images."""

    def __init__(self, workload: Workload, compute: Compute, samples: int) -> None:
        self.batch = workload.images, workload.labels
        self.trainer = _FixedDraws(_task(workload, compute, samples))
        self.learning_rate = self.trainer.settings.weights.learning_rate

    def __call__(self) -> None:
        """One iteration."""
        self.trainer.prior_step(*self.batch)
        self.trainer.weight_step(*self.batch, self.learning_rate)


def _task(workload: Workload, compute: Compute, samples: int) -> SearchTask:
    """A search in DARTS' settings of this network; a batch is all the data that it has."""
    count, side = len(workload.images), workload.images.shape[-1]
    stage = SearchStage(
        dataset="random", network=workload.network, epochs=1, batch_size=count, estimator=Estimator(samples=samples)
    )
    images = random_images(count, side, workload.device)
    return SearchTask(
        job=SearchJob(stage="search", space="darts", method="parsec", settings=stage, compute=compute),
        seed=SEED,
        train=images,
        validation=images,
        augment=Augment(stage.augmentation, random_info(side), memory_format(compute.layout)),
        classes=workload.classes,
        prior=Prior(),
        device=workload.device,
    )


PLAIN = "plain modules, contiguous"
DARTS = "DARTS first order, contiguous"
SEQUENTIAL = "sequential"
FUSED = "fused"
ALL, SKIPPED = "PARSEC, all children", "PARSEC, negligible skipped"
EAGER, REPLAYED = "PARSEC, executor sequential", "PARSEC, executor fused"
CPU_SPEEDUP = {"digits": 1.3, "small": 1.0}
"""Least speed of the best `grouped` against the plain child on a CPU, by size."""
CPU_SHARE = 0.45
"""Most that a PARSEC iteration may take of a DARTS iteration on a CPU, at the size `small`."""
GPU_SECONDS = 0.025
"""Most that a PARSEC iteration may take on an H100 or H200, at the size `small`."""
GPU_SPEEDUP = 5.0
"""Least speed of a PARSEC iteration against executor `sequential` there, at the size `finetune`."""


def bench_search(job: BenchJob, device: torch.device, rates: Rates) -> Iterator[dict[str, Any]]:
    """Two comparisons at every size, each handed over when it is done."""
    for size in sizes(job, device):
        yield compare(executor_comparison(job, size, device).only(job.contender), device, rates)
        yield compare(iteration_comparison(job, size, device).only(job.contender), device, rates)


def executor_comparison(job: BenchJob, size: Size, device: torch.device) -> Comparison:
    """Every executor, and a plain network of modules: children forward and backward."""
    load, on_cpu = workload(job, size, device, size.children), device.type == "cpu"
    steps: dict[str, Step] = {
        PLAIN: load.plain(torch.contiguous_format),
        "plain modules, channels last": load.plain(torch.channels_last),
        SEQUENTIAL: load.accumulation(compute(job, "sequential")),
    }
    grouped = {f"grouped, S = {s}": load.accumulation(compute(job, "grouped", s)) for s in size.grouped}
    fused = {} if on_cpu else {FUSED: load.accumulation(compute(job, "fused"))}
    wanted = CPU_SPEEDUP.get(size.name) if on_cpu else None
    return Comparison(
        title=f"{size}: {size.children} children forward and backward",
        unit="images × children",
        work=size.batch_size * size.children,
        reference=PLAIN,
        steps=steps | grouped | fused,
        rounds=job.rounds or size.rounds,
        targets=(Target(tuple(grouped), "speedup", wanted),) if wanted else (),
        counted_as={FUSED: SEQUENTIAL},
    )


def iteration_comparison(job: BenchJob, size: Size, device: torch.device) -> Comparison:
    """Full iterations of PARSEC, and of first-order DARTS."""
    load, on_cpu = workload(job, size, device, size.samples), device.type == "cpu"
    steps: dict[str, Step] = {
        DARTS: load.darts(torch.contiguous_format),
        "DARTS first order, channels last": load.darts(torch.channels_last),
        ALL: Iteration(load, compute(job, "auto"), size.samples),
        SKIPPED: Iteration(load, compute(job, "auto", skip=True), size.samples),
    }
    if not on_cpu:
        steps[EAGER] = Iteration(load, compute(job, "sequential"), size.samples)
        steps[REPLAYED] = Iteration(load, compute(job, "fused"), size.samples)
    return Comparison(
        title=f"{size}: a full iteration, K = {size.samples}",
        unit="iterations",
        work=1,
        reference=DARTS if on_cpu else EAGER,
        steps=steps,
        rounds=job.rounds or size.iteration_rounds,
        targets=_iteration_targets(size, on_cpu),
        counted_as={} if on_cpu else {ALL: EAGER, SKIPPED: EAGER, REPLAYED: EAGER},
    )


def _iteration_targets(size: Size, on_cpu: bool) -> tuple[Target, ...]:
    """On a CPU with and without skipping, whose saving depends on how far apart the children's likelihoods are."""
    if on_cpu and size.name == "small":
        return tuple(Target((name,), "speedup", 1 / CPU_SHARE) for name in (ALL, SKIPPED))
    if not on_cpu and size.name == "small":
        return (Target((ALL, REPLAYED), "median", GPU_SECONDS),)
    if not on_cpu and size.name == "finetune":
        return (Target((ALL, REPLAYED), "speedup", GPU_SPEEDUP),)
    return ()


STAGE = SearchStage(
    dataset="digits",
    network=Network(cells=3, channels=4),
    epochs=20,
    weights=SearchOptimizer(learning_rate=0.1),
    prior=PriorOptimizer(learning_rate=0.05),
    augmentation=Augmentation(padding=1, flip=False),
)
"""A search with the network and the augmentation of the default preset, and the paper's K = 16."""
TINY_STAGE = STAGE.model_copy(update={"epochs": 1, "train_images": 128, "validation_images": 128})
SEEDS = 3


def bench_savings(job: BenchJob, device: torch.device) -> Iterator[dict[str, Any]]:
    """One comparison of whole searches on the digits: every way with every seed, the ways in turn.

    Executor `sequential` leaves out the backward pass of a negligible architecture, `grouped` only that of S negligible
    ones.
    """
    stage, seeds = (TINY_STAGE, 1) if job.tiny else (STAGE, job.rounds or SEEDS)
    ways = {"sequential": compute(job, "sequential"), "grouped": compute(job, "grouped")}
    # On a GPU the host does not see which children went backward, and skipping would have to wait for it.
    if device.type == "cpu":
        ways["sequential, negligible skipped"] = compute(job, "sequential", skip=True)
        ways["grouped, negligible skipped"] = compute(job, "grouped", skip=True)
    with tempfile.TemporaryDirectory() as folder:
        prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), Path(folder))
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
        for seed in range(seeds):
            for name, way in ways.items():
                runs[name].append(_whole_search(stage, way, seed, Path(folder), device))
                logger.info("%s, seed %d: %.1f s", name, seed, runs[name][-1]["seconds"])
    yield _document(stage, seeds, runs)


def _whole_search(stage: SearchStage, way: Compute, seed: int, data: Path, device: torch.device) -> dict[str, float]:
    """Run a whole search; its seconds count only the steps."""
    job = SearchJob(stage="search", space="darts", method="parsec", settings=stage, compute=way)
    trainer = Parsec(make_task(job, data, read_info(data), seed, Prior(), device))
    began = time.perf_counter()
    while trainer.step < trainer.total_steps:
        trainer.advance()
    trainer.flush()
    seconds = time.perf_counter() - began
    executor = trainer.executor
    assert isinstance(executor, SequentialExecutor | GroupedExecutor)
    return {
        "seconds": seconds,
        "forward_passes": float(trainer.children),
        "backward_passes": float(executor.backward_passes),
        "entropy": trainer.prior.entropy(),
        "accuracy": trainer.accuracy(trainer.genotype()),
    }


def _document(stage: SearchStage, seeds: int, runs: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    network = f"{stage.network.cells} cells × {stage.network.channels} channels"
    reference = next(iter(runs))
    base = statistics.median(run["seconds"] for run in runs[reference])
    rows = [
        {
            "contender": name,
            "speedup": base / statistics.median(run["seconds"] for run in each),
            **{key: statistics.fmean(run[key] for run in each) for key in each[0]},
            "accuracy_deviation": statistics.stdev(run["accuracy"] for run in each) if len(each) > 1 else 0.0,
            "runs": each,
        }
        for name, each in runs.items()
    ]
    title = f"digits, {network}, K = {stage.estimator.samples}, {stage.epochs} epochs: whole searches, {seeds} seeds"
    return {"title": title, "unit": "searches", "reference": reference, "rows": rows, "targets": []}
