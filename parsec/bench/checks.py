"""Measurements of `bench gpu` that are no comparison of times: equality, convolutions, profiles, tools, tests."""

import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from importlib import metadata
from importlib.util import find_spec
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from parsec.bench.harness import measure_rates, stopwatch_for
from parsec.bench.kernel_builds import Case, build_kernels
from parsec.bench.slices import UNEQUAL, Result, Setup
from parsec.bench.workload import FINETUNE, PAPER_SMALL, SEED, TINY, Size, compute, workload
from parsec.config.training import Network
from parsec.network.kernels import reference
from parsec.network.kernels.interface import Operations, operations
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch
from parsec.records.provenance import machine, versions
from parsec.runtime.logs import logger
from parsec.runtime.rng import generator
from parsec.search.executors.base import weighted_backward
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.self_test import BFLOAT16, FLOAT32, NETWORK, difference, full_float32, run_step, self_test
from parsec.search.executors.sequential import SequentialExecutor

SIZES = {"small": PAPER_SMALL, "finetune": FINETUNE}
"""The two networks of the paper's searches."""


def sizes(setup: Setup) -> list[Size]:
    """Both networks, or in a rehearsal the tiny one."""
    return [TINY] if setup.rehearsal else [*SIZES.values()]


def facts(setup: Setup) -> Result:
    """Machine, versions, memory of the device and what Triton builds with."""
    memory = torch.cuda.mem_get_info(setup.device) if setup.device.type == "cuda" else None
    triton = metadata.version("triton") if find_spec("triton") else None
    return {"machine": machine(), "versions": versions(), "memory": memory, "triton": triton}


def rates(setup: Setup) -> Result:
    """Bytes per second of a large copy, and operations per second of a large matrix product by precision."""
    precisions = [torch.float32] if setup.rehearsal else [torch.float32, torch.bfloat16]
    return {str(dtype): measure_rates(setup.device, dtype)._asdict() for dtype in precisions}


CHECKED_CHILDREN = 4
"""Architectures of a step that compares operations, two in flight."""


TESTED = ((NETWORK, 32), (Network(cells=4, channels=36), 15), (Network(cells=3, channels=12, stem="imagenet"), 97))
"""Networks and sides of the images in the tests of executor `fused`."""


def builds(setup: Setup) -> Result:
    """Build the kernels of all later steps, in as many processes as there are cores."""
    if setup.rehearsal:
        return {"skipped": "kernels are built on CUDA only"}
    cases = [Case(NETWORK, 16, 8, 6, rounded) for rounded in (False, True)]
    cases += [Case(network, side, 16, s, False) for network, side in TESTED for s in (1, 3, 6)]
    cases += [Case(NETWORK, 32, 16, s, rounded) for s, rounded in ((2, False), (4, False), (6, True))]
    for size in sizes(setup):
        shape = (size.network, size.image_size, size.batch_size)
        cases += [Case(*shape, size.samples, True), Case(*shape, 1, True)]
        cases += [Case(*shape, CHECKED_CHILDREN // 2, rounded) for rounded in (False, True)]
    processes = min(len(os.sched_getaffinity(0)), 16)
    try:
        return {"processes": processes, "builds": build_kernels(cases, processes)}
    except Exception as error:  # all that follows builds its own kernels, only one after another
        logger.exception("kernels could not be built ahead")
        return {"processes": processes, "failed": str(error)}


class ComparedOperations:
    """Runs kernels and their plain twins on the same numbers, and goes on with the twins' results."""

    def __init__(self, kernels: Operations, tolerance: float) -> None:
        self._kernels, self._tolerance = kernels, tolerance
        self.differences: dict[str, float] = {}
        """By operation: the largest difference, relative to the largest number of a tensor."""
        self.first: str | None = None
        """The first operation that differs by more than the tolerance, and in what."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        def run(*args: Any, **flags: bool) -> None:  # noqa: ANN401
            tensors = [each for each in args if isinstance(each, Tensor)]
            clones = {id(each): each.clone() for each in tensors}
            getattr(self._kernels, name)(*(clones.get(id(each), each) for each in args), **flags)
            getattr(reference, name)(*args, **flags)
            for index, wanted in enumerate(tensors):
                self._note(name, index, clones[id(wanted)], wanted)

        return run

    def _note(self, name: str, index: int, found: Tensor, wanted: Tensor) -> None:
        """Keep the difference of one tensor; what neither wrote is not a number in both."""
        known, share = ~wanted.isnan(), 0.0
        if (known == found.isnan()).any():
            share = math.inf
        elif known.any():
            scale = wanted[known].abs().amax().double().clamp_min(1e-30)
            share = float((found[known].double() - wanted[known].double()).abs().max() / scale)
        self.differences[name] = max(self.differences.get(name, 0.0), share)
        if share > self._tolerance and self.first is None:
            self.first = f"{name} differs from its plain twin by {share:.2g} of the largest number (tensor {index})"


@contextmanager
def poisoned() -> Iterator[None]:
    """New tensors hold no number, so that what a kernel reads before anyone wrote it reaches a result."""
    deterministic, options = torch.get_deterministic_debug_mode(), torch.utils.deterministic
    torch.use_deterministic_algorithms(True, warn_only=True)
    options.fill_uninitialized_memory = True  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(deterministic)
        options.fill_uninitialized_memory = False  # type: ignore[attr-defined]


class Checked(NamedTuple):
    """A step whose results are compared."""

    name: str
    rounded: bool
    """Whether activations are bfloat16."""
    supernet: Supernet
    context: Callable[[], AbstractContextManager[None]]
    batch: tuple[ArchitectureBatch, Tensor, Tensor]
    """Architectures, images, labels."""


def checked_steps(setup: Setup) -> Iterator[Checked]:
    """A step of every size, in both precisions."""
    for size in sizes(setup):
        for rounded in (False, True):
            load = workload(setup.job, size, setup.device, CHECKED_CHILDREN)
            supernet = Supernet(size.network, load.classes, generator(SEED, "shared weights"), setup.device)
            context = partial(torch.autocast, setup.device.type, dtype=torch.bfloat16, enabled=rounded)
            name = f"{size.name}, {'bfloat16' if rounded else 'float32'}"
            yield Checked(name, rounded, supernet, context, (load.children, load.images, load.labels))


def operations_equal(setup: Setup) -> Result:
    """Every operation of a step against its plain twin on this device."""
    result: Result = {}
    for step in checked_steps(setup):
        compared = ComparedOperations(operations(setup.device), 3e-2 if step.rounded else 1e-4)
        executor = FusedExecutor(step.supernet, step.context, CHECKED_CHILDREN // 2, launches=compared)
        with poisoned(), full_float32():
            weighted_backward(executor, *step.batch, temperature=1e3)
        result[step.name] = compared.differences
        if compared.first is not None:
            return result | {UNEQUAL: f"{compared.first}, at {step.name}"}
    return result


def executors_equal(setup: Setup) -> Result:
    """Steps of executor `fused`, as replayed, against executor `sequential`: tiny as `auto` tests it, and real."""
    result: Result = {}
    if problem := self_test(setup.device):
        return {UNEQUAL: f"executor fused: {problem}"}
    for step in checked_steps(setup):
        with full_float32():
            expected = run_step(SequentialExecutor(step.supernet, step.context), *step.batch)
            fused = FusedExecutor(step.supernet, step.context, CHECKED_CHILDREN // 2)
            apart = difference(run_step(CUDAGraphRunner(fused), *step.batch), expected, step.rounded)
        result[step.name] = apart._asdict()
        if not apart.within(BFLOAT16 if step.rounded else FLOAT32):
            return result | {UNEQUAL: f"executor fused differs from sequential at {step.name}: {apart}"}
    return result


def convolutions(setup: Setup) -> Result:
    """Milliseconds of every kind of convolution, forward and backward, with all engines and deterministic ones."""
    stopwatch, result = stopwatch_for(setup.device), {}
    dtype = torch.float32 if setup.rehearsal else torch.bfloat16
    batch, side, widths = (2, 8, (4,)) if setup.rehearsal else (64, 32, (16, 36, 144))
    for channels in widths:
        for kernel, stride, dilation in ((1, 1, 1), (3, 1, 1), (5, 2, 1), (5, 1, 2), (5, 2, 2)):
            padding, groups = kernel // 2 * dilation, channels if kernel > 1 else 1
            layer = nn.Conv2d(channels, channels, kernel, stride, padding, dilation, groups, bias=False)
            layer = layer.to(setup.device, dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
            x = torch.randn(batch, channels, side, side, device=setup.device, dtype=dtype)
            x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
            for deterministic in (False, True):
                torch.backends.cudnn.deterministic = deterministic
                step = partial(_forward_and_backward, layer, x)
                step()
                seconds = min(stopwatch(step) for _ in range(3))
                name = f"{channels} channels, {kernel} × {kernel}, stride {stride}, dilation {dilation}"
                result[name + ", deterministic" * deterministic] = 1e3 * seconds
    torch.backends.cudnn.deterministic = False
    return result


def _forward_and_backward(layer: nn.Module, x: Tensor) -> None:
    layer(x).sum().backward()


PROFILED = 40
"""Kernels that a profile lists."""


def step_profile(name: str, setup: Setup) -> Result:
    """Milliseconds of a step of executor `fused` by kernel, the longest first: CUDA kernels, or operations of a CPU."""
    size = TINY if setup.rehearsal else SIZES[name]
    step = workload(setup.job, size, setup.device, size.samples).search_step(compute(setup.job, "fused"))
    step()
    activity = ProfilerActivity.CUDA if setup.device.type == "cuda" else ProfilerActivity.CPU
    with profile(activities=[activity]) as profiler:
        step()
        if setup.device.type == "cuda":
            torch.cuda.synchronize(setup.device)
    spent = {
        event.key: (event.self_device_time_total if setup.device.type == "cuda" else event.self_cpu_time_total) / 1e3
        for event in profiler.key_averages()
    }
    longest = sorted(spent.items(), key=lambda item: -item[1])[:PROFILED]
    return {"milliseconds": dict(longest), "sum": sum(spent.values())}


TAIL = 3000
"""Characters kept of what a program printed."""


def program(words: tuple[str, ...], setup: Setup) -> Result:
    """Exit code and last output of a program, where it is installed."""
    if shutil.which(words[0]) is None:
        return {"skipped": f"{words[0]} is not installed here"}
    try:
        done = subprocess.run(
            words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=max(setup.seconds_left, 1)
        )
    except subprocess.TimeoutExpired as late:
        output = late.stdout or b""
        raise TimeoutError(f"{words[0]} took too long: {output.decode(errors='replace')[-TAIL:]}") from late
    return {"code": done.returncode, "output": done.stdout[-TAIL:]}


def gpu_tests(file: str, chosen: str | None, setup: Setup) -> Result:
    """The GPU's tests of one file; a failure is a result. In a rehearsal only whether pytest is there."""
    if find_spec("pytest") is None:
        raise ModuleNotFoundError("pytest is missing here; bring it for the tests")
    words = (sys.executable, "-m", "pytest", "--version")
    if not setup.rehearsal:
        words = (*words[:3], "-p", "no:cacheprovider", f"tests/gpu/{file}", *(("-k", chosen) if chosen else ()))
    return program(words, setup)
