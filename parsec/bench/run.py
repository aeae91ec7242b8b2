"""The verb `bench`: runs one benchmark, prints its tables as they are done and writes them as JSON."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from parsec.bench.floor import Rates, measure_rates
from parsec.bench.job import BenchJob
from parsec.bench.memory import bench_memory
from parsec.bench.rounds import stopwatch_for
from parsec.bench.search import bench_search
from parsec.bench.show import text
from parsec.records.provenance import begin, provenance
from parsec.records.results import write_json
from parsec.runtime.device import autocast, device_name, lease, resolve, set_deterministic
from parsec.runtime.logs import logger

SCHEMA = 1
BENCHES: dict[str, Callable[[BenchJob, torch.device, Rates], Iterator[dict[str, Any]]]] = {
    "search": bench_search,
    "memory": bench_memory,
}


def bench(job: BenchJob, output: Path | None) -> None:
    """Run the benchmark, print it, and write it to `output` if given."""
    beginning = begin("parsec.bench.run")
    set_deterministic(False)
    with lease(resolve(job.device)) as device:
        rates = measure_rates(device, _activations(device, job), stopwatch_for(device))
        logger.info("copies %.1f GB/s, multiplies %.1f Gop/s", rates.bytes / 1e9, rates.operations / 1e9)
        contests = []
        for document in BENCHES[job.what](job, device, rates):
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
