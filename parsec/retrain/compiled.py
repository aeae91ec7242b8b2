"""Compiling a training step's forward and backward pass with `torch.compile`, where the settings ask for it."""

import logging
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch

from parsec.errors import DeviceError
from parsec.settings.compute import Compute

logger = logging.getLogger(__name__)
P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], compute: Compute, device: torch.device) -> Callable[P, R]:
    """`function` as one compiled graph for every set of shapes, or as it is where `compute.compile` means that.

    On CUDA its launches are replayed as CUDA graphs. Tensors change freely between calls; any other value that does
    is a compilation of its own.

    Raises:
        DeviceError: compiling was asked for and this machine cannot: it has no C++ compiler, or no Triton.
    """
    if compute.compile == "off" or (compute.compile == "auto" and device.type != "cuda"):
        return function
    options: dict[str, Any] = {"triton.cudagraphs": device.type == "cuda", "deterministic": compute.deterministic}
    if problem := _problem(device, options):
        if compute.compile == "on":
            raise DeviceError(f"compute.compile: on, but {problem}; install a C++ compiler, or use auto or off")
        logger.warning("compute.compile: auto trains without compiling, because %s", problem)
        return function
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


def _problem(device: torch.device, options: dict[str, Any]) -> str | None:
    """Why this machine cannot compile, on one line; found by compiling one addition. None if it can."""
    try:
        torch.compile(_next, options=options)(torch.zeros(2, device=device))
    except Exception as error:  # whatever compilers, headers and drivers may lack
        return f"torch.compile fails here ({(str(error).splitlines() or [repr(error)])[0]})"
    return None


def _next(x: torch.Tensor) -> torch.Tensor:
    return x + 1
