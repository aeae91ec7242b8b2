"""Savings of a search that leaves work out, and their cost: whole searches on the digits, each several times.

Executor `sequential` leaves out the backward pass of a negligible architecture, `grouped` only that of S negligible
ones; a K that follows the entropy of π samples fewer architectures as π settles (FP-NAS).
"""

import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

from parsec.bench.workload import BenchJob, compute
from parsec.config.base import Compute
from parsec.config.datasets import Digits, PrepareJob
from parsec.config.search import Estimator, PriorConfig, PriorOptimizer, SearchJob, SearchOptimizer, SearchStage
from parsec.config.training import Augmentation, Network
from parsec.data.dataset import read_info
from parsec.data.prepare import prepare
from parsec.prior.distribution import Prior
from parsec.runtime.logs import logger
from parsec.search.executors.grouped import GroupedExecutor
from parsec.search.executors.sequential import SequentialExecutor
from parsec.search.parsec import Parsec
from parsec.search.run import make_task

STAGE = SearchStage(
    dataset="digits",
    network=Network(cells=3, channels=4),
    epochs=20,
    weights=SearchOptimizer(learning_rate=0.1),
    prior=PriorOptimizer(learning_rate=0.05),
    augmentation=Augmentation(padding=1, flip=False),
)
"""The search of the default preset for twice as long, with the paper's K = 16."""
TINY_STAGE = STAGE.model_copy(update={"epochs": 1, "train_images": 128, "validation_images": 128})
LAMBDA = 0.25
"""λ of K = ⌊λ·entropy⌋, nats: 12 children at first (FP-NAS)."""
SEEDS = 3


class Way(NamedTuple):
    """One way to run the same search."""

    name: str
    estimator: Estimator
    compute: Compute


def bench_savings(job: BenchJob, device: torch.device) -> Iterator[dict[str, Any]]:
    """One comparison: every way with every seed, the ways in turn."""
    stage, seeds = (TINY_STAGE, 1) if job.tiny else (STAGE, job.rounds or SEEDS)
    ways = _ways(job, device)
    with tempfile.TemporaryDirectory() as folder:
        prepare(PrepareJob(name="digits", dataset=Digits(source="digits")), Path(folder))
        runs: dict[str, list[dict[str, float]]] = {way.name: [] for way in ways}
        for seed in range(seeds):
            for way in ways:
                runs[way.name].append(_search(stage, way, seed, Path(folder), device))
                logger.info("%s, seed %d: %.1f s", way.name, seed, runs[way.name][-1]["seconds"])
    return iter([_document(stage, seeds, runs)])


def _ways(job: BenchJob, device: torch.device) -> list[Way]:
    fixed, following = Estimator(), Estimator(adaptive=LAMBDA)
    ways = [
        Way("sequential", fixed, compute(job, "sequential")),
        Way("sequential, negligible skipped", fixed, compute(job, "sequential", skip=True)),
        Way("sequential, K by entropy", following, compute(job, "sequential")),
        Way("sequential, both", following, compute(job, "sequential", skip=True)),
    ]
    grouped = [
        Way("grouped", fixed, compute(job, "grouped")),
        Way("grouped, both", following, compute(job, "grouped", skip=True)),
    ]
    # On a GPU the host does not see which children went backward, and skipping would have to wait for it.
    return ways + grouped if device.type == "cpu" else [ways[0], ways[2], grouped[0]]


def _search(stage: SearchStage, way: Way, seed: int, data: Path, device: torch.device) -> dict[str, float]:
    """Run a whole search; its seconds count only the steps."""
    settings = stage.model_copy(update={"estimator": way.estimator})
    job = SearchJob(
        stage="search", space="darts", method="parsec", prior=PriorConfig(), settings=settings, compute=way.compute
    )
    trainer = Parsec(make_task(job, data, read_info(data), seed, Prior(job.prior), device))
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
