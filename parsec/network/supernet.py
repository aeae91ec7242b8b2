"""Supernet of the DARTS space: weights that all sampled architectures share, run one at a time or in groups."""

import itertools
import math
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from parsec.config.training import Network
from parsec.network.conv_cpu import join, pieces
from parsec.network.layers import SEPARABLE, halve, halve_each, normalise, pool, project, separable
from parsec.network.skeleton import CellShape, cell_shapes, edge_stride, output_channels, stem_channels
from parsec.runtime.device import to_device
from parsec.space.darts import EDGES, NODES, Cell, Edge, Genotype, edge_index

Shapes = Mapping[str, tuple[int, ...]]


class SharedParameters:
    """A flat parameter vector `flat` with its gradient, and named leaf tensors that share its memory.

    Args:
        stacked: shapes of tensors with one entry per edge, edge first.
        plain: shapes of tensors that every child uses.
        generator: source of the initial values (on the CPU, so that all devices start equal).
    """

    def __init__(
        self,
        stacked: Shapes,
        plain: Shapes,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        shapes = {**stacked, **plain}
        sizes = [math.prod(shape) for shape in shapes.values()]
        values = torch.rand(sum(sizes), generator=generator, dtype=torch.float64).mul_(2).sub_(1)
        for name, chunk in zip(shapes, values.split(sizes), strict=True):
            chunk.mul_(_bound(shapes[name][1:] if name in stacked else shapes[name]))
        self.flat = torch.nn.Parameter(values.to(device=device, dtype=dtype))
        self.flat.grad = torch.zeros_like(self.flat)
        self._values = self._views(self.flat.detach(), shapes, sizes)
        self._gradients = self._views(self.flat.grad, shapes, sizes)
        self._starts = dict(zip(shapes, itertools.accumulate(sizes, initial=0), strict=False))
        self._leaves: dict[tuple[str, int | None], Tensor] = {}

    @staticmethod
    def _views(flat: Tensor, shapes: Shapes, sizes: list[int]) -> dict[str, Tensor]:
        return {name: part.view(shapes[name]) for name, part in zip(shapes, flat.split(sizes), strict=True)}

    @property
    def gradient(self) -> Tensor:
        """The flat gradient of `flat`, which every backward pass adds to."""
        assert self.flat.grad is not None
        return self.flat.grad

    def start(self, name: str) -> int:
        """Position in `flat` of a tensor's first number; its other numbers follow, and a stacked tensor's edges."""
        return self._starts[name]

    def entry_size(self, name: str) -> int:
        """Numbers of one edge of a stacked tensor."""
        return self._values[name][0].numel()

    def __call__(self, name: str, edge: int | None = None) -> Tensor:
        """The leaf tensor of a plain weight, or of one edge of a stacked one."""
        key = (name, edge)
        if key not in self._leaves:
            value, gradient = self._values[name], self._gradients[name]
            leaf = (value if edge is None else value[edge]).detach().requires_grad_()
            leaf.grad = gradient if edge is None else gradient[edge]
            self._leaves[key] = leaf
        return self._leaves[key]


def _bound(shape: tuple[int, ...]) -> float:
    """Half width of the uniform initial distribution of one weight, 1/√fan-in (PyTorch's default for convolutions).

    Vectors are biases of a classifier whose fan-in they do not show; they start at zero.
    """
    return 0.0 if len(shape) == 1 else 1.0 / math.sqrt(math.prod(shape[1:]))


SKIP = "skip_connect"


def _stacked_shapes(index: int, shape: CellShape) -> dict[str, tuple[int, ...]]:
    """Weights of a cell that exist once per edge."""
    c = shape.channels
    shapes: dict[str, tuple[int, ...]] = {}
    for name, kind in SEPARABLE.items():
        for repeat in range(kind.repeats):
            shapes[f"cells.{index}.{name}.{repeat}.depthwise"] = (EDGES, c, 1, kind.kernel, kind.kernel)
            shapes[f"cells.{index}.{name}.{repeat}.pointwise"] = (EDGES, c, c, 1, 1)
    if shape.reduction:
        for half in ("even", "odd"):
            shapes[f"cells.{index}.{SKIP}.{half}"] = (2 * NODES, c // 2, c, 1, 1)
    return shapes


def _plain_shapes(index: int, shape: CellShape) -> dict[str, tuple[int, ...]]:
    """Weights of a cell that every child uses: the projections of its two inputs."""
    before = {"": shape.channels}
    if shape.after_reduction:
        before = {".even": shape.channels // 2, ".odd": shape.channels // 2}
    shapes: dict[str, tuple[int, ...]] = {
        f"cells.{index}.before{half}": (channels, shape.channels_before_previous, 1, 1)
        for half, channels in before.items()
    }
    return shapes | {f"cells.{index}.last": (shape.channels, shape.channels_previous, 1, 1)}


def _stem_shapes(network: Network) -> dict[str, tuple[int, ...]]:
    out = stem_channels(network)
    if network.stem == "cifar":
        return {"stem.0": (out, 3, 3, 3)}
    return {"stem.0": (out // 2, 3, 3, 3), "stem.1": (out, out // 2, 3, 3), "stem.2": (out, out, 3, 3)}


class Supernet:
    """All children of the space, with their shared weights in one `SharedParameters`."""

    def __init__(
        self,
        network: Network,
        classes: int,
        generator: torch.Generator,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.network = network
        self.shapes = cell_shapes(network)
        stacked: dict[str, tuple[int, ...]] = {}
        plain = _stem_shapes(network)
        for index, shape in enumerate(self.shapes):
            stacked |= _stacked_shapes(index, shape)
            plain |= _plain_shapes(index, shape)
        plain |= {"classifier.weight": (classes, output_channels(network)), "classifier.bias": (classes,)}
        self.weights = SharedParameters(stacked, plain, generator, device, dtype)

    def __call__(self, child: Genotype, images: Tensor) -> Tensor:
        """Logits (B × classes) of one child on `images` (B × 3 × H × W)."""
        before, last = self.stem(images)
        for index, shape in enumerate(self.shapes):
            states, rectified = self._cell(index, shape, getattr(child, shape.kind), before, last)
            ends = index == len(self.shapes) - 1
            nodes = states if ends else [_relu(*pair) for pair in zip(states, rectified, strict=True)]
            before, last = last, join(nodes)
        return self.classify(last.mean((2, 3), dtype=self.weights.flat.dtype))

    def classify(self, features: Tensor) -> Tensor:
        """Logits (… × classes) of the last cell's channel means (… × 4 C)."""
        # Likelihoods are exponentiated, so the logits behind them are never rounded to bfloat16.
        with torch.autocast(features.device.type, enabled=False):
            return F.linear(features, self.weights("classifier.weight"), self.weights("classifier.bias"))

    def stem(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The two inputs of the first cell, after ReLU: everything that reads the output of a stem or cell does so."""
        if self.network.stem == "cifar":
            x = F.relu(normalise(F.conv2d(x, self.weights("stem.0"), padding=1)))
            return x, x
        x = F.relu(normalise(F.conv2d(x, self.weights("stem.0"), stride=2, padding=1)))
        before = F.relu(normalise(F.conv2d(x, self.weights("stem.1"), stride=2, padding=1)))
        return before, F.relu(normalise(F.conv2d(before, self.weights("stem.2"), stride=2, padding=1)))

    def _cell(
        self, index: int, shape: CellShape, cell: Cell, before: Tensor, last: Tensor
    ) -> tuple[list[Tensor], list[Tensor | None]]:
        """Nodes of a cell on the rectified outputs of the two cells before, and their ReLU where it is known."""
        states = list(self.align(index, shape, before, last))
        rectified: list[Tensor | None] = [None] * (2 + NODES)
        for node, edges in enumerate(cell):
            for edge in edges:
                if needs_relu(edge.primitive, edge_stride(shape, edge.input)):
                    rectified[edge.input] = _relu(states[edge.input], rectified[edge.input])
            first, second = (self._edge(index, shape, node, e, states[e.input], rectified[e.input]) for e in edges)
            states.append(first + second)
        return states[2:], rectified[2:]

    def align(self, index: int, shape: CellShape, before: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        """Bring rectified outputs of the two cells before, of G children, to this cell's channels and resolution."""
        name = f"cells.{index}"
        aligned = project(last, self.weights(f"{name}.last"), last.shape[1] // shape.channels_previous)
        if shape.after_reduction:
            return halve(before, self.weights(f"{name}.before.even"), self.weights(f"{name}.before.odd")), aligned
        groups = before.shape[1] // shape.channels_before_previous
        return project(before, self.weights(f"{name}.before"), groups), aligned

    def _edge(self, index: int, shape: CellShape, node: int, edge: Edge, x: Tensor, rectified: Tensor | None) -> Tensor:
        stride = edge_stride(shape, edge.input)
        if not needs_relu(edge.primitive, stride):
            return x if edge.primitive == SKIP else pool(edge.primitive, x, stride)
        assert rectified is not None
        return self.convolve(index, edge.primitive, [(node, edge.input)], stride, rectified)

    def convolve(self, index: int, primitive: str, edges: Sequence[tuple[int, int]], stride: int, x: Tensor) -> Tensor:
        """A primitive with weights on G stacked rectified maps, one for every (node, input) of `edges`."""
        name, groups = f"cells.{index}.{primitive}", len(edges)
        if primitive == SKIP:
            rows = [2 * node + source for node, source in edges]
            return halve_each(x, self._gathered(f"{name}.even", rows), self._gathered(f"{name}.odd", rows), groups)
        rows, kind = [edge_index(*edge) for edge in edges], SEPARABLE[primitive]
        weights = [
            (self._gathered(f"{name}.{i}.depthwise", rows), self._gathered(f"{name}.{i}.pointwise", rows))
            for i in range(kind.repeats)
        ]
        return separable(x, kind, stride, weights, groups)

    def _gathered(self, name: str, rows: Sequence[int]) -> Tensor:
        """Weights of these edges, one after another."""
        weights = [self.weights(name, row) for row in rows]
        return weights[0] if len(weights) == 1 else torch.cat(weights)


def needs_relu(primitive: str, stride: int) -> bool:
    """Whether a primitive begins with ReLU: all but pooling and the identity."""
    return primitive in SEPARABLE or (primitive == SKIP and stride > 1)


def _relu(state: Tensor, known: Tensor | None) -> Tensor:
    return F.relu(state) if known is None else known


class State:
    """One state of a cell in all children: U different maps [B, U C, H, W], and which of them each child holds."""

    def __init__(self, maps: Tensor, channels: int, owners: Sequence[int]) -> None:
        self.maps, self.owners, self._channels = maps, owners, channels
        self._pieces: dict[bool, tuple[Tensor, ...]] = {}

    def piece(self, number: int, rectified: bool) -> Tensor:
        """One map [B, C, H, W], before or after ReLU, which is computed once for all maps."""
        if rectified not in self._pieces:
            self._pieces[rectified] = pieces(F.relu(self.maps) if rectified else self.maps, self._channels)
        return self._pieces[rectified][number]


class ActiveEdge(NamedTuple):
    """A primitive on one map of one state; equal ones of several children are computed once."""

    primitive: str
    source: int
    map: int


class SharedCell(NamedTuple):
    """A cell of the stack, with the weights that all children share."""

    supernet: Supernet
    number: int
    shape: CellShape


def stacked_logits(supernet: Supernet, children: Sequence[Genotype], images: Tensor) -> Tensor:
    """Logits (S × B × classes) of S children on `images` (B × 3 × H × W)."""
    before, last = (State(maps, maps.shape[1], [0] * len(children)) for maps in supernet.stem(images))
    for index, shape in enumerate(supernet.shapes):
        shared, cells = SharedCell(supernet, index, shape), [getattr(child, shape.kind) for child in children]
        states = _cell(shared, cells, before, last)
        before, last = last, _output(states, NODES * shape.channels, rectified=index < len(supernet.shapes) - 1)
    features = last.maps.mean((2, 3), dtype=supernet.weights.flat.dtype)
    logits = supernet.classify(features.unflatten(1, (max(last.owners) + 1, -1)))
    return logits.transpose(0, 1).index_select(0, to_device(torch.tensor(last.owners), logits.device))


def _cell(shared: SharedCell, cells: Sequence[Cell], before: State, last: State) -> list[State]:
    """The nodes of one cell of every child, on the rectified outputs of the two cells before."""
    channels = shared.shape.channels
    aligned = shared.supernet.align(shared.number, shared.shape, before.maps, last.maps)
    states = [State(maps, channels, whole.owners) for maps, whole in zip(aligned, (before, last), strict=True)]
    for node in range(NODES):
        edges = [
            sorted(ActiveEdge(edge.primitive, edge.input, states[edge.input].owners[child]) for edge in cell[node])
            for child, cell in enumerate(cells)
        ]
        # Children with the same choices so far share a map, so that only different edges are computed.
        results = _results(shared, node, states, sorted({edge for pair in edges for edge in pair}))
        owners, firsts = _numbered([tuple(pair) for pair in edges])
        slots = (join([results[edges[child][slot]] for child in firsts]) for slot in range(len(edges[0])))
        states.append(State(sum(slots, start=next(slots)), channels, owners))
    return states[2:]


def _numbered(keys: Sequence[Hashable]) -> tuple[list[int], list[int]]:
    """The number of every key among the different ones, and where each of those stands first."""
    numbers: dict[Hashable, int] = {}
    owners = [numbers.setdefault(key, len(numbers)) for key in keys]
    return owners, [owners.index(number) for number in range(len(numbers))]


def _results(
    shared: SharedCell, node: int, states: Sequence[State], edges: Sequence[ActiveEdge]
) -> dict[ActiveEdge, Tensor]:
    """The map [B, C, H, W] of every edge; those of one primitive and stride are computed together."""
    # Maps are joined along channels, so that each primitive runs once per stride, as one grouped operation.
    groups: dict[tuple[str, int], list[ActiveEdge]] = {}
    for edge in edges:
        groups.setdefault((edge.primitive, edge_stride(shared.shape, edge.source)), []).append(edge)
    results: dict[ActiveEdge, Tensor] = {}
    for (primitive, stride), members in groups.items():
        rectified = needs_relu(primitive, stride)
        inputs = [states[edge.source].piece(edge.map, rectified) for edge in members]
        if primitive == SKIP and not rectified:
            results |= zip(members, inputs, strict=True)
            continue
        if rectified:
            pairs = [(node, edge.source) for edge in members]
            maps = shared.supernet.convolve(shared.number, primitive, pairs, stride, join(inputs))
        else:
            maps = pool(primitive, join(inputs), stride)
        results |= zip(members, pieces(maps, shared.shape.channels), strict=True)
    return results


def _output(states: Sequence[State], channels: int, rectified: bool) -> State:
    """The concatenated nodes of every child, after ReLU for the cells that follow or as they are for the classifier."""
    owners, firsts = _numbered(list(zip(*(state.owners for state in states), strict=True)))
    parts = [state.piece(state.owners[child], rectified) for child in firsts for state in states]
    return State(join(parts), channels, owners)
