"""`bench gpu`: what a GPU has to show, in slices of minutes, with every number on the disk as soon as it exists.

A slice measures one thing after another and begins none that would not fit into its time; called again, it goes on with
what is missing. On a machine without CUDA the same slices run at the smallest sizes: a rehearsal, which is marked as
one and which `parsec record` refuses.
"""

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import torch

from parsec.bench.run import record, render
from parsec.bench.workload import BenchJob
from parsec.errors import UserError
from parsec.records.provenance import start_provenance, write_json
from parsec.runtime.checkpoint import finite
from parsec.runtime.device import acquire_gpu, device_name, resolve, set_deterministic
from parsec.runtime.files import reported
from parsec.runtime.logs import logger
from parsec.runtime.outputs import check_file

MEASUREMENTS, RECORD = "measurements.jsonl", "gpu.json"
RESERVE = 15.0
"""Seconds kept back for the record."""
UNEQUAL, UNFINISHED = "unequal", "unfinished"
"""Keys of results: the first operation that differs, after which nothing is timed; how far a run came."""
Result = dict[str, Any]


class Setup(NamedTuple):
    """What a measurement is given."""

    device: torch.device
    job: BenchJob
    out: Path
    """Folder of the numbers."""
    work: Path
    """Folder of runs that are carried forward."""
    data: Path | None
    """Folder of a prepared CIFAR-10."""
    end: float
    """When the slice must be over, on the clock of `time.monotonic`."""

    @property
    def rehearsal(self) -> bool:
        """Whether this is no GPU, so that sizes are the smallest."""
        return self.job.tiny

    @property
    def seconds_left(self) -> float:
        """Until the record must be written."""
        return self.end - RESERVE - time.monotonic()


class Measurement(NamedTuple):
    """One thing to measure."""

    name: str
    seconds: float
    """What it takes at most on an H100, by estimate: with less time left it is not begun."""
    run: Callable[[Setup], Result]
    """Returns a comparison as `compare` makes it, or other numbers by name."""
    takes_device: bool = False
    """Whether it acquires the device itself, as runs and other programs do; they would wait for this process."""


class Log:
    """Lines of `measurements.jsonl`: what was measured on this device, and what failed."""

    def __init__(self, out: Path, device: str) -> None:
        self._path, self.device = out / MEASUREMENTS, device
        # A line is cut off where a process was killed in the middle of it, even of a letter; the next one must not
        # continue it.
        text = self._path.read_text(encoding="utf-8", errors="replace") if self._path.is_file() else ""
        self._cut = bool(text) and not text.endswith("\n")
        self.rows = [row for row in map(_parsed, text.split("\n")) if row is not None and row["device"] == device]

    def add(self, row: Mapping[str, Any]) -> None:
        """Append a line and wait until it is on the disk."""
        row = {"device": self.device, **{key: finite(value) for key, value in row.items()}}
        self.rows.append(row)
        with reported(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n" * self._cut + json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
        self._cut = False

    @property
    def results(self) -> dict[str, Result]:
        """Results by the names of measurements; those that failed or are unfinished have none."""
        done = {row["name"]: row["result"] for row in self.rows if "result" in row}
        return {name: result for name, result in done.items() if UNFINISHED not in result}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def bench_slice(
    number: int, slices: Mapping[int, tuple[Measurement, ...]], out: Path, work: Path, data: Path | None, minutes: float
) -> None:
    """Run the measurements of slice `number` that are missing and fit into `minutes`.

    Raises:
        UserError: no such slice, kernels that are not shown to be right, or a folder that cannot be written.
    """
    end = time.monotonic() + 60 * minutes
    if number not in slices:
        raise UserError(f"--slice: got {number}; give one of {', '.join(map(str, slices))}")
    check_file(out / RECORD, "json bench")
    kind = resolve("auto")
    tiny = kind.type != "cuda"
    job = BenchJob(what="gpu", device="cpu" if tiny else "cuda", slice=number, paper=not tiny, tiny=tiny)
    if tiny:
        logger.warning("no CUDA here: a rehearsal at the smallest sizes, whose numbers say nothing about a GPU")
    run_start = start_provenance("parsec.bench.slices")
    setup, log = Setup(kind, job, out, work, data, end), Log(out, device_name(kind))
    # Kernels that are wrong are not worth timing.
    _check_equal(number, slices, log)
    missing = [each for each in slices[number] if each.name not in log.results]
    for each in missing:
        # A later one may be shorter and still fit.
        if each.seconds <= setup.seconds_left:
            with nullcontext(kind) if each.takes_device else acquire_gpu(kind) as device:
                _measure(each, setup._replace(device=device), log)
            if UNEQUAL in log.results.get(each.name, {}):
                break
    # The record holds everything measured on this device so far, in this call and in earlier ones.
    comparisons = [result for result in log.results.values() if "rows" in result]
    facts = {name: result for name, result in log.results.items() if "rows" not in result}
    document = record(job, run_start, kind, None, comparisons)
    measured = [{key: row.get(key) for key in ("name", "slice", "seconds", "commit", "error")} for row in log.rows]
    write_json(out / RECORD, document | {"facts": facts, "measured": measured, "rehearsal": tiny})
    left = [each.name for each in missing if each.name not in log.results]
    print(f"slice {number} on {log.device}: " + (f"left: {', '.join(left)}; run it again" if left else "complete"))
    _check_equal(number, slices, log)


def _check_equal(number: int, slices: Mapping[int, tuple[Measurement, ...]], log: Log) -> None:
    """Refuse to go on where slice 0 found an operation that differs, or has not been through."""
    for name, result in log.results.items():
        if UNEQUAL in result:
            raise UserError(f"{name}: {result[UNEQUAL]}; nothing is timed on {log.device} until this is fixed")
    if number and (missing := [each.name for each in slices[0] if each.name not in log.results]):
        raise UserError(f"--slice: {number} comes after slice 0, of which {', '.join(missing)} is missing; run slice 0")


def _measure(measurement: Measurement, setup: Setup, log: Log) -> None:
    """Run one measurement and write its line; an error is a line as well, and the next call tries it again."""
    logger.info("%s", measurement.name)
    began, git = time.monotonic(), start_provenance("parsec.bench.slices").git
    row = {"slice": setup.job.slice, "name": measurement.name, "commit": git and git["commit"]}
    # A run before may have asked for more, and have left it so.
    set_deterministic(False)
    try:
        result = measurement.run(setup)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        logger.error("%s failed: %s", measurement.name, first, exc_info=not isinstance(error, UserError))
        log.add(row | {"seconds": time.monotonic() - began, "error": f"{type(error).__name__}: {first}"})
        return
    log.add(row | {"seconds": time.monotonic() - began, "result": result})
    print(render(result) if "rows" in result else f"{measurement.name}: {json.dumps(result)[:2000]}", flush=True)
