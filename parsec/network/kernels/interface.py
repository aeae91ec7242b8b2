"""Interface of the kernels' backends: the launches of a step of S architectures, in the order of a cell.

`weights` is the result of `Tables.weights` and `weight_gradient` the supernet's flat gradient; `rows` and `edges` are
tables (see `layout.Tables`), `states` and `gradients` flat buffers of a cell's maps and their gradients (see
`layout.Maps`). Maps are [row, N, H, W, C], in the precision of activations; `statistics` [row, 2 (mean, 1/σ), C] and
`partials` are float32, or float64 if the weights are. Kernels touch only their own rows; summation order is
deterministic.
"""

import os
import shlex
import shutil
import sysconfig
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from parsec.errors import UserError
from parsec.network.kernels.layout import Conv1x1, Maps


class Operations(Protocol):
    """Modules `reference` and `fused`."""

    def conv1x1(self, rows: Tensor, weights: Tensor, x: Tensor, z: Tensor, partials: Tensor, conv: Conv1x1) -> None:
        """ReLU and 1 × 1 convolution, or factorised reduction, of `x` into `z`, before batch norm.

        Like all that produce maps for batch norm, it writes what `statistics` combines: of every tile and channel the
        sum, and the squared deviations from the tile's mean, `partials` [row, tiles, 2, C].
        """

    def separable(
        self,
        stage: int,
        edges: Tensor,
        weights: Tensor,
        states: Tensor,
        h: Tensor,
        z: Tensor,
        partials: Tensor,
        maps: Maps,
    ) -> None:
        """ReLU and depthwise convolution into `h[stage]`, and pointwise convolution of it into `z[stage]`.

        The first stage reads `states`, the second `z[0]`, which then holds normalised results.
        """

    def pool(self, edges: Tensor, states: Tensor, z: Tensor, partials: Tensor, maps: Maps) -> None:
        """Maximum and mean of 3 × 3 pixels (those inside the map) into `z` [row, N, H', W', C]."""

    def statistics(self, partials: Tensor, pixels: int, out: Tensor) -> None:
        """Mean and 1/√(biased variance + 1e-5) of every row and channel, from partials of `pixels` pixels."""

    def normalise(self, z: Tensor, statistics: Tensor, edges: Tensor | None) -> None:
        """Apply batch norm in place; if `z` belongs to edges, only in those whose second stage reads the result."""

    def join(self, node: int, edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, maps: Maps) -> None:
        """Write a node into `states`: the sum of its two edges, normalised unless they are the identity."""

    def conv1x1_back(
        self,
        rows: Tensor,
        weights: Tensor,
        x: Tensor,
        z: Tensor,
        statistics: Tensor,
        gradients: Tensor,
        targets: Tensor,
        weight_gradient: Tensor,
        conv: Conv1x1,
        normalised: bool,
        first: bool,
    ) -> None:
        """Backward of `conv1x1` and batch norm: adds the input's gradient to `targets`, and the weights' to their own.

        `first`: the input's gradient is the first of several, and is written instead; only without halves.
        `normalised`: whether `z` holds results after batch norm, or before. Of two consecutive rows that are edges of
        one child, both may add to one target; rows of `normalised` results must have targets of their own.
        """

    def separable_back(
        self,
        edges: Tensor,
        weights: Tensor,
        states: Tensor,
        h: Tensor,
        z: Tensor,
        statistics: Tensor,
        gradients: Tensor,
        weight_gradient: Tensor,
        maps: Maps,
    ) -> None:
        """Backward of both stages of `separable` and batch norm.

        The second stage writes the gradient of the first one's result, and the first adds to that of its source. Both
        add to the gradients of their weights; several edges may share these.
        """

    def pool_back(
        self, edges: Tensor, states: Tensor, z: Tensor, statistics: Tensor, gradients: Tensor, maps: Maps
    ) -> None:
        """Backward of `pool` and batch norm, and of the identity: adds to the gradient of the source."""


def operations(device: torch.device) -> Operations:
    """The fused kernels on CUDA, plain PyTorch elsewhere.

    Raises:
        UserError: CUDA without Triton, or without the C compiler that it needs.
    """
    from parsec.network.kernels import reference

    if device.type != "cuda":
        return reference
    try:
        from parsec.network.kernels import fused
    except ImportError as missing:
        raise UserError(
            f"compute.executor: fused needs Triton on CUDA ({missing}); install triton, or choose executor grouped"
        ) from missing
    if lacks := _compiler_problem():
        raise UserError(
            f"compute.executor: fused needs a C compiler on CUDA, for Triton ({lacks}); install gcc and "
            "the headers of Python, or choose executor grouped"
        )
    return fused


def _compiler_problem() -> str | None:
    """What Triton lacks to build its launchers, found where it looks itself; None if nothing."""
    named = shlex.split(os.environ.get("CC", ""))[:1]
    if not any(map(shutil.which, named or ("gcc", "clang"))):
        return f"CC names {named[0]}, which is not there" if named else "there is neither gcc nor clang"
    # Debian's own scheme has no headers.
    scheme = sysconfig.get_default_scheme().replace("posix_local", "posix_prefix")
    header = Path(sysconfig.get_paths(scheme)["include"], "Python.h")
    return None if header.is_file() else f"{header} is missing"
