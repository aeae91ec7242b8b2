"""Executor `table` as CUDA graphs: each step is recorded once and then replayed for whatever architectures come.

A replay is one launch: its inputs, the architectures among them, are copied into the recording's own, and what it
leaves is copied out. A step of another shape (K, batch or image size) is recorded when it first comes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from parsec.prior.distribution import ArchitectureBatch
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.fused import FusedExecutor
from parsec.space.darts import Genotype

Step = Callable[..., tuple[Tensor, ...]]


class _Recording(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    outputs: tuple[Tensor, ...]

    def __call__(self, inputs: list[Tensor]) -> list[Tensor]:
        for own, given in zip(self.inputs, inputs, strict=True):
            own.copy_(given, non_blocking=True)
        self.graph.replay()
        return [each.clone() for each in self.outputs]


class CUDAGraphRunner:
    """Runs `table`, on CUDA by replaying recordings of its steps; elsewhere it hands every call on."""

    device_driven = True

    def __init__(self, table: FusedExecutor) -> None:
        self.table, self.supernet = table, table.supernet
        self._recordings: dict[tuple[object, ...], _Recording] = {}
        self._pool: Any = None

    @property
    def _replays(self) -> bool:
        return self.supernet.bank.flat.device.type == "cuda"

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        return self.table.logits(child, images)

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        if not self._replays:
            return self.table.log_likelihoods(children, images, labels)
        return self._run(self._log_likelihoods, [children.table, images, labels])[0]

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`."""
        if not self._replays:
            self.table.add_gradients(children, images, labels, temperature, weights)
            return
        inputs = [children.table, images, labels, torch.full_like(weights.total, temperature), *_state(weights)]
        _set_state(weights, self._run(self._add_gradients, inputs))

    def _log_likelihoods(self, table: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return (self.table.log_likelihoods(ArchitectureBatch(table), images, labels),)

    def _add_gradients(
        self, table: Tensor, images: Tensor, labels: Tensor, temperature: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        weights = OnlineWeights(images.device)
        _set_state(weights, list(state))
        self.table.add_gradients(ArchitectureBatch(table), images, labels, temperature, weights)
        return _state(weights)

    def _run(self, step: Step, inputs: list[Tensor]) -> list[Tensor]:
        """Replay a step, which is recorded first if it is new."""
        key = (step.__name__, *((each.shape, each.stride(), each.dtype) for each in inputs))
        if key not in self._recordings:
            self._recordings[key] = self._record(step, inputs)
        return self._recordings[key](inputs)

    def _record(self, step: Step, inputs: list[Tensor]) -> _Recording:
        """Run a step twice, so that kernels are built and plans made, then record it; gradients stay as they are."""
        device, gradient = self.supernet.bank.flat.device, self.supernet.bank.gradient
        before = gradient.clone()
        own = [each.to(device, copy=True) for each in inputs]
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(stream):
            for _ in range(2):
                step(*own)
        torch.cuda.current_stream(device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        # Other threads, such as NCCL's, may talk to the device meanwhile.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            outputs = step(*own)
        gradient.copy_(before)
        return _Recording(graph, own, outputs)


def _state(weights: OnlineWeights) -> tuple[Tensor, ...]:
    return weights.maximum, weights.total, weights.squares, weights.weighted


def _set_state(weights: OnlineWeights, state: list[Tensor]) -> None:
    weights.maximum, weights.total, weights.squares, weights.weighted = state
