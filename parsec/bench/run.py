"""The verb `bench`: runs one benchmark, prints its tables as they are done and writes them as JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from parsec.bench.floor import Rates, measure_rates
from parsec.bench.job import BenchJob
from parsec.bench.loader import bench_loader
from parsec.bench.memory import bench_memory
from parsec.bench.retrain import bench_retrain
from parsec.bench.rounds import stopwatch_for
from parsec.bench.savings import bench_savings
from parsec.bench.search import bench_search
from parsec.bench.show import text
from parsec.errors import UserError
from parsec.records.provenance import begin, provenance
from parsec.records.results import write_json
from parsec.runtime.device import autocast, device_name, lease, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file

SCHEMA = 1


def _documents(job: BenchJob, device: torch.device, rates: Rates, data: Path | None) -> Iterator[dict[str, Any]]:
    """The comparisons of a benchmark, each as soon as it is done."""
    match job.what:
        case "search":
            return bench_search(job, device, rates)
        case "retrain":
            return bench_retrain(job, device, rates)
        case "memory":
            return bench_memory(job, device)
        case "savings":
            return bench_savings(job, device)
    return bench_loader(job, device, rates, data)


def bench(job: BenchJob, data: Path | None, output: Path | None) -> None:
    """Run a benchmark, print its tables as they are done, and write them to `output` if given.

    Args:
        job: what is measured, and how.
        data: folder of the prepared data set that `loader` reads; None for scikit-learn's digits.
        output: file for the numbers, with machine and versions.

    Raises:
        UserError: a data set for another benchmark than `loader`, or a file that cannot be written.
    """
    if data is not None and job.what != "loader":
        raise UserError(f"--data: bench {job.what} reads no images; leave it out")
    if output is not None:
        check_file(output, "json bench")
    beginning = begin("parsec.bench.run")
    set_deterministic(False)
    with lease(resolve(job.device)) as device:
        rates = measure_rates(device, _activations(device, job), stopwatch_for(device))
        logger.info("copies %.1f GB/s, multiplies %.1f Gop/s", rates.bytes / 1e9, rates.operations / 1e9)
        contests = []
        for document in _documents(job, device, rates, data):
            print(text(document), end="\n\n", flush=True)
            contests.append(document)
        result = {
            "kind": "bench",
            "schema": SCHEMA,
            "device": device_name(device),
            "rates": rates._asdict(),
            "contests": contests,
            "provenance": provenance(job, beginning, None),
        }
    if output is not None:
        write_json(output, result)


def _activations(device: torch.device, job: BenchJob) -> torch.dtype:
    """Precision of the matrix products that the networks are made of."""
    context = autocast(device, job.precision)
    return torch.bfloat16 if context._enabled else torch.float32
