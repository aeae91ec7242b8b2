"""Executor `fused` as CUDA graphs: each step is captured once and then replayed for any architectures.

A replay is one launch: its inputs, among them the architectures, are copied into buffers of the graph, and its outputs
are copied out. A step of another shape (K, batch or image size) is captured when it first occurs.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from parsec.prior.distribution import ArchitectureBatch
from parsec.runtime.device import to_device
from parsec.search.estimator import OnlineWeights
from parsec.search.executors.fused import FusedExecutor
from parsec.space.darts import Genotype

Results = tuple[Tensor, ...]
Step = Callable[..., Results]


class CapturedStep(NamedTuple):
    """A CUDA graph with the buffers that it reads and writes."""

    graph: torch.cuda.CUDAGraph
    inputs: list[Tensor]
    outputs: tuple[Tensor, ...]

    def replay(self, inputs: list[Tensor]) -> list[Tensor]:
        """Copy the inputs in, launch the graph, and copy its outputs out, because the next replay overwrites them."""
        for buffer, value in zip(self.inputs, inputs, strict=True):
            buffer.copy_(value, non_blocking=True)
        self.graph.replay()
        return [output.clone() for output in self.outputs]


class CUDAGraphRunner:
    """Runs a fused executor: on CUDA by replaying captured steps, elsewhere directly."""

    device_driven = True

    def __init__(self, fused: FusedExecutor) -> None:
        self.fused, self.supernet = fused, fused.supernet
        self._captured: dict[tuple[object, ...], CapturedStep] = {}
        self._pool: Any = None
        """Memory shared by all graphs, of which only one runs at a time."""

    @property
    def _replays(self) -> bool:
        return self.supernet.weights.flat.device.type == "cuda"

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one architecture."""
        if not self._replays:
            return self.fused.logits(child, images)
        table = to_device(ArchitectureBatch.of([child]).table, images.device)
        return self._run(self._logits, [table, images])[0]

    def log_likelihoods(self, children: ArchitectureBatch, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        if not self._replays:
            return self.fused.log_likelihoods(children, images, labels)
        return self._run(self._log_likelihoods, [children.table, images, labels])[0]

    def add_gradients(
        self, children: ArchitectureBatch, images: Tensor, labels: Tensor, temperature: float, weights: OnlineWeights
    ) -> None:
        """See `Executor.add_gradients`."""
        if not self._replays:
            self.fused.add_gradients(children, images, labels, temperature, weights)
            return
        # A graph reads tensors only, so the temperature and the running weights are among its inputs.
        inputs = [children.table, images, labels, torch.full_like(weights.total, temperature), *_state(weights)]
        _set_state(weights, self._run(self._add_gradients, inputs))

    def _logits(self, table: Tensor, images: Tensor) -> tuple[Tensor, ...]:
        return (self.fused.logits_of(ArchitectureBatch(table), images)[0],)

    def _log_likelihoods(self, table: Tensor, images: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
        return (self.fused.log_likelihoods(ArchitectureBatch(table), images, labels),)

    def _add_gradients(
        self, table: Tensor, images: Tensor, labels: Tensor, temperature: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        weights = OnlineWeights(images.device)
        _set_state(weights, list(state))
        self.fused.add_gradients(ArchitectureBatch(table), images, labels, temperature, weights)
        return _state(weights)

    def _run(self, step: Step, inputs: list[Tensor]) -> list[Tensor]:
        """Replay a step; capture it first if its shapes are new."""
        key = (step.__name__, *((x.shape, x.stride(), x.dtype) for x in inputs))
        if key not in self._captured:
            self._captured[key] = self._capture(step, inputs)
        return self._captured[key].replay(inputs)

    def _capture(self, step: Step, inputs: list[Tensor]) -> CapturedStep:
        """Capture a step; gradients stay as they are."""
        device, gradient = self.supernet.weights.flat.device, self.supernet.weights.gradient
        before = gradient.clone()
        buffers = [x.to(device, copy=True) for x in inputs]
        # Run twice on a side stream first, as PyTorch requires: kernels are compiled and plans made outside the graph.
        stream = torch.cuda.Stream(device)
        stream.wait_stream(torch.cuda.current_stream(device))
        try:
            with torch.cuda.stream(stream):
                for _ in range(2):
                    step(*buffers)
            torch.cuda.current_stream(device).wait_stream(stream)
            return CapturedStep(*self._recorded(step, buffers))
        finally:
            # The two runs added to the gradient.
            gradient.copy_(before)

    def _recorded(self, step: Step, buffers: list[Tensor]) -> tuple[torch.cuda.CUDAGraph, list[Tensor], Results]:
        """The graph of a step on these buffers, which does not run; an error within it is raised as it was."""
        graph, failed = torch.cuda.CUDAGraph(), None
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        try:
            # Only this thread's calls are checked: others, such as NCCL's, may use the device meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                try:
                    outputs = step(*buffers)
                except Exception as error:
                    failed = error
                    raise
        except Exception as error:
            # Ending a capture that an error broke off raises another one, which tells nothing.
            raise failed or error from None
        return graph, buffers, outputs


def _state(weights: OnlineWeights) -> tuple[Tensor, ...]:
    return weights.maximum, weights.total, weights.squares, weights.weighted


def _set_state(weights: OnlineWeights, state: list[Tensor]) -> None:
    weights.maximum, weights.total, weights.squares, weights.weighted = state
