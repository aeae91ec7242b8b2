"""The slices of `bench gpu`, in the order in which they answer most: equality, speed of the search, tests, runs."""

import functools
import sys
from collections.abc import Callable
from functools import partial

import torch

from parsec.bench.carry import retrained, searched
from parsec.bench.checks import (
    SIZES,
    builds,
    convolutions,
    executors_equal,
    facts,
    gpu_tests,
    operations_equal,
    program,
    rates,
    step_profile,
)
from parsec.bench.harness import Comparison, Rates, compare, measure_rates
from parsec.bench.memory import bench_memory
from parsec.bench.retrain import bench_retrain
from parsec.bench.search import executor_comparison, iteration_comparison
from parsec.bench.slices import Measurement, Result, Setup
from parsec.bench.workload import TINY, BenchJob, Size


@functools.cache
def _rates(device: torch.device) -> Rates:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return measure_rates(device, dtype)


def _timed(
    comparison: Callable[[BenchJob, Size, torch.device], Comparison], contender: str | None, name: str, setup: Setup
) -> Result:
    """A comparison of times at one size; in a rehearsal of few contenders."""
    size = TINY if setup.rehearsal else SIZES[name]
    chosen = comparison(setup.job, size, setup.device).only("all children" if setup.rehearsal else contender)
    return compare(chosen, setup.device, _rates(setup.device))


def _memory(name: str, setup: Setup) -> Result:
    [document] = bench_memory(setup.job.model_copy(update={} if setup.rehearsal else {"size": name}), setup.device)
    return document


def _sized(name: str, seconds: float, size: str, run: Callable[[str, Setup], Result]) -> Measurement:
    """A measurement at the size of a search network; a rehearsal has only one."""

    def measure(setup: Setup) -> Result:
        if setup.rehearsal and size != "small":
            return {"skipped": "a rehearsal has one size only"}
        return run(size, setup)

    return Measurement(f"{name}, {size}", seconds, measure)


def _retraining(setup: Setup) -> Result:
    [document] = bench_retrain(setup.job.model_copy(update={"rounds": 3}), setup.device, _rates(setup.device))
    return document


def _tests(file: str, seconds: float, chosen: str | None = None) -> Measurement:
    name = f"tests, {file}{f' ({chosen})' if chosen else ''}"
    return Measurement(name, seconds, partial(gpu_tests, file, chosen), takes_device=True)


def _program(name: str, seconds: float, *words: str) -> Measurement:
    return Measurement(name, seconds, partial(program, words), takes_device=True)


def _run(name: str, run: Callable[[Setup], Result]) -> Measurement:
    return Measurement(name, 120, run, takes_device=True)


STEP = (sys.executable, "-m", "parsec", "bench", "search", "--device", "cuda", "--contender", "fused", "--rounds", "1")
KERNELS = "regex:separable|depthwise|pointwise|conv1x1|mix"
SLICES: dict[int, tuple[Measurement, ...]] = {
    0: (
        Measurement("machine", 10, facts),
        Measurement("kernels built", 240, builds),
        Measurement("operations equal", 120, operations_equal),
        Measurement("executors equal", 120, executors_equal),
    ),
    1: (
        Measurement("rates", 20, rates),
        _sized("iteration", 60, "small", partial(_timed, iteration_comparison, "fused")),
        _sized("profile", 20, "small", step_profile),
        _sized("iteration", 120, "finetune", partial(_timed, iteration_comparison, "fused")),
        _sized("profile", 30, "finetune", step_profile),
        Measurement("convolutions", 60, convolutions),
        _tests("test_fused.py", 200),
        _tests("test_auto.py", 90),
    ),
    2: (
        _program(
            "counters, small", 120, "ncu", "--clock-control", "none", "--set", "basic", "--kernel-name", KERNELS,
            "--launch-count", "24", "--kill", "yes", *STEP, "--size", "small",
        ),
        _program("memory errors", 180, "compute-sanitizer", *STEP, "--tiny"),
        _tests("test_device.py", 60),
        _tests("test_search.py", 120),
        _tests("test_scores.py", 40),
        _tests("test_waits.py", 60),
    ),
    3: (
        Measurement("retraining", 400, _retraining),
        _tests("test_retrain.py", 200, "reproducible or continuing or sync"),
    ),
    4: (
        _sized("memory", 60, "small", _memory),
        _sized("memory", 120, "finetune", _memory),
        _tests("test_methods.py", 120),
        _tests("test_bench.py", 120),
    ),
    5: (
        _sized("all iterations", 120, "small", partial(_timed, iteration_comparison, None)),
        _sized("executors", 120, "small", partial(_timed, executor_comparison, None)),
        _sized("all iterations", 200, "finetune", partial(_timed, iteration_comparison, None)),
        _sized("executors", 200, "finetune", partial(_timed, executor_comparison, None)),
    ),
    6: (_run("CIFAR-10: search", partial(searched, "search")),),
    7: (_run("CIFAR-10: fine-tuning", partial(searched, "finetune")),),
    8: (_run("CIFAR-10: training from scratch", retrained),),
}  # fmt: skip
