"""Both scores of NASWOT (Mellor, Turner, Storkey and Crowley, arXiv 2006.04647); larger is better.

A network is anything that maps images [N, 3, H, W] to logits [N, …]. The N × N matrices are made on the network's
device without waiting for it; the scores are read off them on the host, in float64.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from parsec.config.zero_cost import Initialisation
from parsec.network.layers import initialise

Layer = nn.Conv2d | nn.Linear


def _identity(layer: Layer, generator: torch.Generator) -> Tensor:
    # Every group is an identity of its own: a depthwise convolution passes on all of its channels.
    return nn.init.dirac_(layer.weight, layer.groups) if isinstance(layer, nn.Conv2d) else nn.init.eye_(layer.weight)


_DRAWS: dict[Initialisation, Callable[[Layer, torch.Generator], object]] = {
    "normal": lambda layer, generator: nn.init.normal_(layer.weight, generator=generator),
    "uniform": lambda layer, generator: nn.init.uniform_(layer.weight, generator=generator),
    "orthogonal": lambda layer, generator: nn.init.orthogonal_(layer.weight, generator=generator),
    "identity": _identity,
}


def draw_weights(network: nn.Module, initialisation: Initialisation, generator: torch.Generator) -> None:
    """Draw the weights of all convolutions and linear layers again; biases are PyTorch's, batch norm keeps 1 and 0."""
    initialise(network, generator)
    if initialisation == "default":
        return
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            _DRAWS[initialisation](layer, generator)


Forward = Callable[[Tensor], Tensor]
Matrix = NDArray[np.float64]

RIDGE = 1e-5
"""k of the eigenvalue score."""


class UnscoredError(Exception):
    """A network that the score is not defined for; the message is the reason."""


class _Agreements(TorchDispatchMode):
    """Counts, over every ReLU that runs in whatever way it is written, the units on which two images agree."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = torch.zeros(len(images), len(images), dtype=torch.float64, device=images.device)
        self._known: WeakIdKeyDictionary = WeakIdKeyDictionary()

    def __torch_dispatch__(
        self, func: object, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # noqa: ANN401
        result = func(*args, **(kwargs or {}))  # type: ignore[operator]
        if func is torch.ops.aten.relu.default:
            self.total += self._remembered(args[0], result)
        elif func is torch.ops.aten.relu_.default:
            self.total += _agreements(result)
        return result

    def _remembered(self, source: Tensor, activations: Tensor) -> Tensor:
        """A map is often read by several ReLUs, and the product costs as much as a convolution."""
        if source not in self._known or self._known[source][0] != source._version:
            self._known[source] = (source._version, _agreements(activations))
        known: Tensor = self._known[source][1]
        return known


def _agreements(activations: Tensor) -> Tensor:
    """cᵀc + (1 − c)ᵀ(1 − c) of the codes of rectified maps [N, …]: [N, N] float32, exact below 2^24 units.

    An output is positive exactly where its input was; the sign of NaN is NaN and shows in the sum.
    """
    last = activations.is_contiguous(memory_format=torch.channels_last) if activations.dim() == 4 else False
    codes = (activations.permute(0, 2, 3, 1) if last else activations).flatten(1).sign().float()
    active = codes.sum(1)
    agreements: Tensor = codes.shape[1] - active - active[:, None] + 2 * (codes @ codes.T)
    return agreements


def relu_kernel(network: Forward, images: Tensor) -> Tensor:
    """Kernel of the binary activation codes, [N, N] float64: K = Σ_layers cᵀc + (1 − c)ᵀ(1 − c) (ICML 2021, section 3).

    K[i, j] = N_A − d_H(c_i, c_j): of all N_A rectified units the number that images i and j agree on. Every ReLU that
    runs counts, so that a map rectified by three layers counts three times. One forward pass, no gradient. NaN
    everywhere if the network's output is not finite.
    """
    codes = _Agreements(images)
    with torch.no_grad(), codes:
        output = network(images)
    return codes.total.masked_fill(~output.isfinite().all(), torch.nan)


def log_determinant(kernel: Matrix) -> float:
    """Score log |K_H| of a kernel [N, N] from `relu_kernel` (ICML 2021, section 3).

    Raises:
        UnscoredError: the kernel is not finite, or singular, as it is when two images have equal codes.
    """
    _check_finite(kernel, "the output of the network is not finite")
    units = kernel[0, 0]
    if np.count_nonzero(kernel == units) > len(kernel):
        raise UnscoredError(f"images have equal codes of {units:.0f} units, so the kernel is singular")
    sign, value = np.linalg.slogdet(kernel)
    if sign <= 0 or not np.isfinite(value):
        raise UnscoredError("the kernel is singular to rounding")
    return float(value)


def jacobian_correlation(network: Forward, images: Tensor) -> Tensor:
    """Correlations of the rows of J, [N, N] float64, on the network's device (arXiv v1).

    Row i of J is the gradient of the outputs, summed over images and classes, with respect to image i, flattened. The
    authors give the network one output, and batch norm the statistics of the batch; their first tables used eval mode.
    """
    inputs = images.detach().requires_grad_()
    with torch.enable_grad():
        # An output that does not depend on the images has gradient zero, which is no error of the program.
        (gradient,) = torch.autograd.grad(network(inputs).sum(), inputs, allow_unused=True, materialize_grads=True)
    return torch.corrcoef(gradient.flatten(1).double())


def eigenvalue_score(correlation: Matrix) -> float:
    """Score −Σ_i [log(σ_i + k) + 1 / (σ_i + k)], σ the eigenvalues of a correlation matrix, k = 1e-5 (arXiv v1).

    Raises:
        UnscoredError: a correlation is not defined: an image has a constant gradient, or one that is not finite.
    """
    _check_finite(correlation, "the gradient of an image is constant or not finite")
    shifted = np.linalg.eigvalsh(correlation) + RIDGE
    if shifted.min() <= 0:
        raise UnscoredError("the correlation matrix has a negative eigenvalue")
    return float(-np.sum(np.log(shifted) + 1 / shifted))


def _check_finite(matrix: Matrix, reason: str) -> None:
    if not np.isfinite(matrix).all():
        raise UnscoredError(reason)
