"""The verb `bench`: runs one benchmark, prints its tables as they are done and writes them as JSON."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from parsec.bench.data import bench_loader
from parsec.bench.harness import Rates, measure_rates
from parsec.bench.memory import bench_memory
from parsec.bench.retrain import bench_retrain
from parsec.bench.search import bench_savings, bench_search
from parsec.bench.workload import BenchJob
from parsec.errors import UserError
from parsec.records.provenance import SCHEMA, RunStart, provenance, start_provenance, write_json
from parsec.runtime.device import acquire_gpu, autocast, device_name, resolve, set_deterministic
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file

MEBIBYTE = 2**20
SIZED, TIMED = ("search", "memory"), ("search", "retrain", "loader")
"""Benchmarks that have several sizes, and those that are comparisons of times."""
Document = dict[str, Any]


def render(document: Document) -> str:
    """The table of a comparison: of times, of memory or of whole searches."""
    match document["unit"]:
        case "bytes":
            rows, notes = _memory(document), _memory_targets(document)
        case "searches":
            rows, notes = _searches(document), _searches_legend(document)
        case _:
            rows, notes = _times(document), _times_targets(document)
    return "\n".join([document["title"], *_table(list(rows)), *notes])


def format_seconds(value: float) -> str:
    """Seconds with three digits, in the unit that fits them."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if value >= scale:
            return f"{format_number(value / scale)} {unit}"
    return f"{format_number(value / 1e-6)} µs"


def format_number(value: float) -> str:
    """A number with three digits at least, none of them an exponent."""
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines with the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for first, *others in rows:
        numbers = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        yield "  ".join(["  " + first.ljust(widths[0]), *numbers])


def _times(document: Document) -> Iterator[tuple[str, ...]]:
    yield "", "median", "fastest", "slowest", f"{document['unit']}/s", "speedup", "bound", "× bound"
    for row in document["rows"]:
        seen = "bound" in row
        yield (
            row["contender"],
            *(format_seconds(row[key]) for key in ("median", "fastest", "slowest")),
            format_number(row["rate"]),
            f"{row['speedup']:.2f}",
            format_seconds(row["bound"]) if seen else "-",
            f"{row['over_bound']:.1f}" if seen else "-",
        )


def _times_targets(document: Document) -> Iterator[str]:
    yield f"  speedup: against {document['reference']}, of the same run; × bound: median over the roofline bound"
    card = document.get("device", "cpu")
    where = "" if card == "cpu" else f" on {card}"
    for target in document["targets"]:
        values = target["target"], target["found"]
        match target["quantity"]:
            case "speedup":
                wanted, found = (f"{value:.2f} ({1 / value:.2f} of the time)" for value in values)
                wanted = f"a speedup of {wanted}"
            case "rate":
                wanted, found = map(format_number, values)
                wanted = f"{wanted} {document['unit']}/s"
            case _:
                wanted, found = map(format_seconds, values)
                wanted = f"at most {wanted}"
        verdict = "reached" if target["reached"] else "NOT reached"
        yield f"  must reach {wanted}: {target['contender']} has {found}, {verdict}{where}"


def _searches(document: Document) -> Iterator[tuple[str, ...]]:
    yield "", "time", "speedup", "children forward", "backward", "entropy of π", "accuracy"
    for row in document["rows"]:
        yield (
            row["contender"],
            format_seconds(row["seconds"]),
            f"{row['speedup']:.2f}",
            *(f"{row[key]:.0f}" for key in ("forward_passes", "backward_passes")),
            f"{row['entropy']:.2f} nats",
            f"{100 * row['accuracy']:.1f} ± {100 * row['accuracy_deviation']:.1f} %",
        )


def _searches_legend(document: Document) -> Iterator[str]:
    yield (
        f"  means over seeds; speedup: median of times, against {document['reference']}; accuracy: of the mode of π, "
        "with shared weights on the validation split, ± standard deviation"
    )


def _memory(document: Document) -> Iterator[tuple[str, ...]]:
    yield "", "peak MiB", "× reference", "budget MiB"
    for row in document["rows"]:
        yield (
            row["contender"],
            f"{row['peak_bytes'] / MEBIBYTE:.1f}",
            f"{row['ratio']:.3f}",
            f"{row['budget_bytes'] / MEBIBYTE:.1f}" if "budget_bytes" in row else "-",
        )


def _memory_targets(document: Document) -> Iterator[str]:
    yield f"  reference: {document['reference']}"
    for target in document["targets"]:
        against = {"ratio": "the reference", "budget": "its budget"}[target["quantity"]]
        taken = f"{target['contender']} takes {target['found']:.3f}, {'kept' if target['reached'] else 'NOT kept'}"
        yield f"  at most {target['target']:.2f} of {against}: {taken}"


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
    """Run a benchmark; print every table and write all so far to `output`, if given, as soon as there is one more.

    `data` is the folder of the prepared data set that `loader` reads; None for scikit-learn's digits.

    Raises:
        UserError: an option of another benchmark, or a file that cannot be written.
    """
    if data is not None and job.what != "loader":
        raise UserError(f"--data: bench {job.what} reads no images; leave it out")
    for option, value, used in (("size", job.size, SIZED), ("contender", job.contender, TIMED)):
        if value is not None and job.what not in used:
            raise UserError(f"--{option}: only with bench {' or '.join(used)}; leave it out")
    if output is not None:
        check_file(output, "json bench")
    run_start = start_provenance("parsec.bench.run")
    set_deterministic(False)
    with acquire_gpu(resolve(job.device)) as device:
        rates = measure_rates(device, _activations(device, job))
        logger.info("copies %.1f GB/s, multiplies %.1f Gop/s", rates.bytes / 1e9, rates.operations / 1e9)
        comparisons = []
        for document in _documents(job, device, rates, data):
            print(render(document), end="\n\n", flush=True)
            comparisons.append(document)
            if output is not None:
                write_json(output, record(job, run_start, device, rates, comparisons))


def record(
    job: BenchJob, run_start: RunStart, device: torch.device, rates: Rates | None, comparisons: Sequence[Document]
) -> Document:
    """The comparisons so far with machine and versions: what `parsec record` takes."""
    return {
        "kind": "bench",
        "schema": SCHEMA,
        "device": device_name(device),
        "rates": rates._asdict() if rates else None,
        "comparisons": [*comparisons],
        "provenance": provenance(job, run_start, None),
    }


def _activations(device: torch.device, job: BenchJob) -> torch.dtype:
    """Precision of the matrix products that the networks are made of."""
    context = autocast(device, job.precision)
    return torch.bfloat16 if context._enabled else torch.float32
