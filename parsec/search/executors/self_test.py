"""Whether executor `fused` computes on this device what executor `sequential` computes: what `auto` asks on CUDA."""

import contextlib
import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from parsec.config.training import Network
from parsec.errors import UserError
from parsec.network.supernet import Supernet
from parsec.prior.distribution import ArchitectureBatch, Prior
from parsec.records.code_hash import code_fingerprint
from parsec.records.provenance import gpu, versions
from parsec.runtime.files import write_atomic
from parsec.runtime.logs import logger
from parsec.search.executors.base import Executor, weighted_backward
from parsec.search.executors.cuda_graph import CUDAGraphRunner
from parsec.search.executors.fused import FusedExecutor
from parsec.search.executors.sequential import SequentialExecutor

CLASSES, CHILDREN, IMAGES, SIDE = 10, 6, 8, 16
NETWORK = Network(cells=3, channels=16)
TEMPERATURE = 4.0


class Limits(NamedTuple):
    """Most that two executors may differ by."""

    likelihood: float
    """Of log-likelihoods and the loss, relatively."""
    gradient: float
    """Of the gradient, relative to its largest number; in bfloat16, 1 − cosine of the angle between both."""


FLOAT32 = Limits(1e-4, 2e-3)
BFLOAT16 = Limits(0.03, 0.05)
"""Two or three decimal digits of an activation survive."""


class Difference(NamedTuple):
    """By how much two executors differ on one step, in the terms of `Limits`."""

    likelihood: float
    gradient: float

    def within(self, limits: Limits) -> bool:
        """Whether both stay within the limits; a number that is not finite does not."""
        return self.likelihood <= limits.likelihood and self.gradient <= limits.gradient


class Step(NamedTuple):
    """Results of both steps of a search."""

    log_likelihoods: Tensor
    loss: Tensor
    gradient: Tensor


def run_step(executor: Executor, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Step:
    """The executor's part of a π-step and of a v-step."""
    log_likelihoods = executor.log_likelihoods(children, images, labels)
    stats = weighted_backward(executor, children, images, labels, TEMPERATURE)
    return Step(log_likelihoods, stats.loss, executor.supernet.weights.gradient.clone())


def difference(step: Step, expected: Step, rounded: bool) -> Difference:
    """How far a step is from the expected one; `rounded` if its activations are bfloat16."""
    ratios = torch.cat([step.log_likelihoods / expected.log_likelihoods, (step.loss / expected.loss).view(1)])
    if rounded:
        gradient = 1.0 - torch.cosine_similarity(step.gradient, expected.gradient, dim=0)
    else:
        gradient = (step.gradient - expected.gradient).abs().max() / expected.gradient.abs().max()
    return Difference(float((ratios - 1.0).abs().max()), float(gradient))


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Convolutions of PyTorch in full float32, as those of the kernels are."""
    before, torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.allow_tf32, False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def fused_problem(device: torch.device) -> str | None:
    """Why executor `fused` is not to be used on this device; None once it has agreed with executor `sequential`.

    That it agreed is remembered per card, driver, versions and code, in this process and in the user's folder for
    temporary files, so that later runs do not test again.
    """
    return _tested(device, _identity(device))


def _identity(device: torch.device) -> str:
    """What the result of the test depends on."""
    code = code_fingerprint("parsec.search.executors.self_test")
    facts = (torch.cuda.get_device_name(device), gpu(), versions(), code)
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@functools.cache
def _tested(device: torch.device, identity: str) -> str | None:
    # The folder of the device locks, which was checked to be this user's when the device was acquired.
    remembered = Path(tempfile.gettempdir()) / f"parsec-devices-{os.getuid()}" / f"fused-{identity}"
    if remembered.is_file():
        return None
    logger.info("executor fused: compared with sequential once on this device")
    problem = self_test(device)
    if problem is None and remembered.parent.is_dir():
        write_atomic(remembered, b"")
    return problem


def self_test(device: torch.device) -> str | None:
    """One tiny step with both executors, in float32 and in bfloat16: how they differ too much, or None."""
    try:
        for precision in (torch.float32, torch.bfloat16):
            apart, limits = _compare(device, precision), FLOAT32 if precision == torch.float32 else BFLOAT16
            if not apart.within(limits):
                return (
                    f"it differs from executor sequential in {precision}: likelihoods by {apart.likelihood:.2g}, "
                    f"gradient by {apart.gradient:.2g}"
                )
    except UserError as error:
        return str(error)
    except Exception as error:  # whatever drivers, compilers and kernels may raise
        return f"its test fails ({(str(error).splitlines() or [repr(error)])[0]})"
    return None


def _compare(device: torch.device, precision: torch.dtype) -> Difference:
    draws = torch.Generator().manual_seed(0)
    supernet = Supernet(NETWORK, CLASSES, draws, device)
    context: Callable[[], AbstractContextManager[None]] = partial(
        torch.autocast, device.type, dtype=precision, enabled=precision != torch.float32
    )
    prior = Prior()
    table = prior.children(prior.sample(CHILDREN, draws)).table.to(device)
    images = torch.randn(IMAGES, 3, SIDE, SIDE, generator=draws).to(device, memory_format=torch.channels_last)
    labels = torch.randint(CLASSES, (IMAGES,), generator=draws).to(device)
    with full_float32():
        expected = run_step(SequentialExecutor(supernet, context), ArchitectureBatch(table), images, labels)
        fused = CUDAGraphRunner(FusedExecutor(supernet, context))
        step = run_step(fused, ArchitectureBatch(table), images, labels)
    return difference(step, expected, rounded=precision != torch.float32)
