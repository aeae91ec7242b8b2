"""Executor `table`: S children at once, whose architectures are data on the device.

Every launch handles all children and reads from a table what each one wants of it, so a step is the same launches for
every architecture: nothing of it waits for the host, and one CUDA graph repeats it (see `replay`).
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import NamedTuple

import torch
from torch import Tensor

from parsec.estimator import OnlineWeights
from parsec.network.executors.cells import Cells, CellState
from parsec.network.executors.plan import Plan, make_plan
from parsec.network.executors.protocol import summed_cross_entropy
from parsec.network.executors.rows import Rows
from parsec.network.kernels.operations import Operations, operations
from parsec.network.kernels.shapes import Maps
from parsec.network.kernels.tables import Tables
from parsec.network.supernet import Supernet
from parsec.prior.children import Children
from parsec.space.darts import NODES
from parsec.space.genotype import Genotype


class _Pass(NamedTuple):
    """A forward pass of S children, for its backward pass."""

    plan: Plan
    rows: Rows
    """Those of all cells, cells first."""
    maps: list[Tensor]
    """Flat buffers that cells read: the stem's two results, then the states of every cell."""
    cells: list[CellState]


class Table:
    """Runs S children of `supernet` at once, as data; fused kernels on CUDA, plain PyTorch elsewhere.

    Args:
        supernet: the network of shared weights.
        autocast: opens the context in which the stem runs; its results' precision is that of all activations.
        in_flight: S; None for all children of a step.
        skip_negligible: leave out the backward pass of children whose weight cannot change the gradient's last digit;
            the device itself sees which ones.
        launches: the operations, if not those that the device wants.

    Raises:
        UserError: CUDA without Triton.
    """

    device_driven = True

    def __init__(
        self,
        supernet: Supernet,
        autocast: Callable[[], AbstractContextManager[None]],
        in_flight: int | None = None,
        skip_negligible: bool = False,
        launches: Operations | None = None,
    ) -> None:
        self.supernet, self.autocast, self.in_flight = supernet, autocast, in_flight
        self.skip_negligible = skip_negligible
        bank = supernet.bank
        self._cells = Cells(bank, launches or operations(bank.flat.device))
        self._tables = Tables(bank, supernet.shapes, bank.flat.device)
        self._plans: dict[tuple[int, torch.Size, torch.Size], Plan] = {}

    def logits(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child."""
        with torch.no_grad():
            return self._logits(Children.of([child], images.device), self._begin(images))[0]

    def log_likelihoods(self, children: Children, images: Tensor, labels: Tensor) -> Tensor:
        """Log p(y|X,v,α_k) of the whole minibatch (K, float64), without gradients: what the π-step needs."""
        with torch.no_grad():
            stem = self._begin(images)
            parts = [summed_cross_entropy(self._logits(part, stem), labels) for part in self._parts(children)]
            return -torch.cat(parts)

    def add_gradients(
        self,
        children: Children,
        images: Tensor,
        labels: Tensor,
        temperature: float | Tensor,
        weights: OnlineWeights,
    ) -> None:
        """See `Executor.add_gradients`: S children forward, then backward with their weights, then the next S."""
        stem = self._begin(images)
        wide = self.supernet.bank.flat.dtype
        stem_gradients = [torch.zeros_like(each, dtype=wide) for each in stem]
        for part in self._parts(children):
            with torch.no_grad():
                done = self._forward(part, stem, keep=True)
                pooled = self._pooled(done).requires_grad_()
            negative = summed_cross_entropy(self.supernet.classify(pooled), labels)
            keep, new = weights.add(-negative.detach() / temperature)
            self.supernet.bank.gradient.mul_(keep)
            for each in stem_gradients:
                each.mul_(keep)
            (negative * (new / len(labels))).sum().backward()
            with torch.no_grad():
                rows = done.rows.without_negligible(new, wide) if self.skip_negligible else done.rows
                self._backward(done._replace(rows=rows), pooled, stem_gradients)
        torch.autograd.backward(stem, [each.to(stem[0].dtype) for each in stem_gradients])

    def _parts(self, children: Children) -> Iterator[Children]:
        """At most S children at a time, in parts as equal as can be, because parts of one size share a plan."""
        size = -(-len(children) // -(-len(children) // (self.in_flight or len(children))))
        for start in range(0, len(children), size):
            yield children[start : start + size]

    def _begin(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Read the weights and run the stem, which all children share."""
        self._cells.weights = self._tables.weights(self.supernet.bank.flat.detach())
        with self.autocast():
            return self.supernet.stem(images)

    def _plan(self, children: int, stem: tuple[Tensor, Tensor]) -> Plan:
        """The plan for these shapes; making it waits for the device, finding it again does not."""
        key = (children, stem[0].shape, stem[1].shape)
        if key not in self._plans:
            self._plans[key] = make_plan(self.supernet, children, stem)
        return self._plans[key]

    def _forward(self, children: Children, stem: tuple[Tensor, Tensor], keep: bool) -> _Pass:
        plan = self._plan(len(children), stem)
        picks, halvings = self._tables.picks(children.table.to(plan.sizes.device, non_blocking=True), plan.sizes)
        rows = Rows(picks, halvings, plan.projections)
        maps = [each.detach().permute(0, 2, 3, 1).reshape(-1) for each in stem]
        cells = []
        for index, cell in enumerate(plan.cells):
            done = self._cells.forward(cell, rows.of_cell(index), maps[index : index + 2], keep)
            maps.append(done.states)
            if keep:
                cells.append(done)
            else:
                maps[index] = maps[index].new_empty(0)
        return _Pass(plan, rows, maps, cells)

    def _pooled(self, done: _Pass) -> Tensor:
        """Mean over the pixels of the last cell's output, S × B × channels."""
        nodes = _nodes(done.plan.cells[-1].maps, done.maps[-1])
        return nodes.mean((3, 4), dtype=self.supernet.bank.flat.dtype).permute(1, 2, 0, 3).flatten(2)

    def _logits(self, children: Children, stem: tuple[Tensor, Tensor]) -> Tensor:
        return self.supernet.classify(self._pooled(self._forward(children, stem, keep=False)))

    def _backward(self, done: _Pass, pooled: Tensor, stem_gradients: list[Tensor]) -> None:
        """Backward through the cells, from the gradient of `pooled` to those of weights and stem."""
        plans, maps = done.plan.cells, done.maps
        own, last = _zeros(done, len(plans) + 1), _zeros(done, len(plans))
        _spread(pooled, plans[-1].maps, own)
        for index in reversed(range(len(plans))):
            before = _zeros(done, index)
            inputs, saved = maps[index : index + 2], done.cells.pop()
            self._cells.backward(plans[index], done.rows.of_cell(index), inputs, saved, own, [before, last])
            maps.pop()
            own, last = last, before
        for total, part in zip(stem_gradients, (last, own), strict=True):
            batch, channels, height, width = total.shape
            summed = part.view(-1, batch, height, width, channels).sum(0, dtype=total.dtype)
            total.add_(summed.permute(0, 3, 1, 2))


def _zeros(done: _Pass, position: int) -> Tensor:
    """A buffer for the gradients of the maps at `position` of a pass; every child has its own of the stem's maps."""
    cells = done.plan.cells
    if position < 2:
        return done.maps[0].new_zeros(cells[0].maps.children * done.maps[position].numel())
    return done.maps[0].new_zeros(cells[position - 2].maps.gradients_size)


def _nodes(maps: Maps, flat: Tensor) -> Tensor:
    """The nodes of all children among states or gradients, [4, S, N, H', W', C]."""
    shape = (NODES, maps.children, maps.batch, maps.out_height, maps.out_width, maps.channels)
    return flat[maps.node_start(0) : maps.states_size].view(shape)


def _spread(pooled: Tensor, maps: Maps, gradients: Tensor) -> None:
    """Give every pixel of the last cell's nodes its share of the gradient of their mean."""
    assert pooled.grad is not None
    share = pooled.grad.unflatten(2, (NODES, maps.channels)).permute(2, 0, 1, 3) / (maps.out_height * maps.out_width)
    _nodes(maps, gradients).copy_(share[:, :, :, None, None])
