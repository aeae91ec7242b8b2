"""Shapes of the feature maps and tables of the active edges that the fused kernels read."""

from typing import NamedTuple

import torch
from torch import Tensor

from parsec.network.layers import SEPARABLE
from parsec.network.skeleton import CellShape
from parsec.network.supernet import SKIP, SharedParameters
from parsec.space.darts import CELLS, EDGES, NODES, PRIMITIVES, SLOTS


class Maps(NamedTuple):
    """Maps of one cell for S children, all offsets in elements.

    A buffer of states holds input 0 and input 1 of every child [2, S, N, H, W, C], then the nodes [4, S, N, H', W', C].
    A buffer of gradients goes on with those of the maps inside repeated convolutions [2S, N, H', W', C].
    """

    children: int
    batch: int
    height: int
    width: int
    out_height: int
    out_width: int
    channels: int

    @property
    def rows(self) -> int:
        """Active edges of a node, over all children: 2S."""
        return SLOTS * self.children

    @property
    def pixels(self) -> int:
        """Pixels of a node in the whole minibatch."""
        return self.batch * self.out_height * self.out_width

    @property
    def input_size(self) -> int:
        """Elements of one input of one child."""
        return self.batch * self.height * self.width * self.channels

    @property
    def node_size(self) -> int:
        """Elements of one node of one child."""
        return self.pixels * self.channels

    @property
    def states_size(self) -> int:
        """Elements of a buffer of states."""
        return self.node_start(NODES)

    @property
    def gradients_size(self) -> int:
        """Elements of a buffer of gradients."""
        return self.states_size + self.rows * self.node_size

    def input_start(self, index: int) -> int:
        """First element of an input of child 0."""
        return index * self.children * self.input_size

    def node_start(self, node: int) -> int:
        """First element of a node of child 0."""
        return 2 * self.children * self.input_size + node * self.children * self.node_size


class Conv1x1(NamedTuple):
    """A ReLU and a 1 × 1 convolution from maps in `blocks` of channels, or a factorised reduction of two halves."""

    batch: int
    height: int
    width: int
    channels: int
    """Channels of the result; with two halves, the first half is made from even pixels, the second from odd ones."""
    halves: int
    blocks: int
    block_channels: int
    block_stride: int
    """Elements from the start of one block to the next one."""

    @property
    def inputs(self) -> int:
        """Channels of the input: those of all blocks."""
        return self.blocks * self.block_channels

    @property
    def out_height(self) -> int:
        """Rows of the result."""
        return -(-self.height // self.halves)

    @property
    def out_width(self) -> int:
        """Columns of the result."""
        return -(-self.width // self.halves)

    @property
    def pixels(self) -> int:
        """Pixels of the result in the whole minibatch."""
        return self.batch * self.out_height * self.out_width

    @property
    def weight_size(self) -> int:
        """Elements of the weights of one half."""
        return self.channels // self.halves * self.inputs


def padded(channels: int) -> int:
    """Channels of a tile: a power of two of at least 16, as matrix products want it."""
    return max(16, 1 << (channels - 1).bit_length())


def tile_pixels(channels: int) -> int:
    """Pixels that one program handles at a time: as many numbers as its registers hold."""
    width = padded(channels)
    return max(16, min(256, (8192 if width <= 64 else 16384) // width))


def tiles(pixels: int, channels: int) -> int:
    """Tiles of a map, whose sums and squared deviations batch norm combines."""
    return -(-pixels // tile_pixels(channels))


MAX_POOL, AVERAGE_POOL, IDENTITY, HALVE, CONVOLVE = range(5)

EDGE_COLUMNS = 13
KIND, SOURCE, STRIDE, KERNEL, DILATION, REPEATS, DEPTHWISE_SIZE, UPSTREAM, DEPTHWISE, POINTWISE = range(10)
"""Columns of an edge's row: what it does; first element of its source among the states (and of the source's gradient
among the gradients); stride, kernel side, dilation, repeats; elements of a depthwise weight. The last three have an
entry for each of two stages, `STAGE` columns apart: first elements, −1 where there is none, of the gradient that comes
in (among the gradients) and of the weights (in the supernet's vector)."""
STAGE = 3

CONV_COLUMNS = 5
CONV_SOURCE, CONV_TARGET, CONV_UPSTREAM, CONV_EVEN, CONV_ODD = range(5)
"""Columns of the row of a `Conv1x1`: first elements of its input, of the input's gradient, of the gradient that
comes in, and of the weights of either half; the source is −1 in a row with nothing to do."""


def _stage_names(cell: int, primitive: str, shape: CellShape) -> list[str]:
    """Names of the shared weights of a primitive, in the order of a lookup's parts; empty where there is none."""
    if primitive in SEPARABLE:
        repeats = SEPARABLE[primitive].repeats
        names = [f"cells.{cell}.{primitive}.{r}.{part}" for r in range(repeats) for part in ("depthwise", "pointwise")]
        return [*names, *[""] * (6 - len(names))]
    if primitive == SKIP and shape.reduction:
        return ["", "", "", "", f"cells.{cell}.{SKIP}.even", f"cells.{cell}.{SKIP}.odd"]
    return [""] * 6


class Tables:
    """Tables of a network's cells on the device, with which architectures are encoded there.

    Args:
        shared: the weights, whose positions in the flat vector are looked up.
        shapes: the cells.
        device: where the tables are made.
    """

    def __init__(self, shared: SharedParameters, shapes: list[CellShape], device: torch.device) -> None:
        names = [[_stage_names(i, p, shape) for p in PRIMITIVES] for i, shape in enumerate(shapes)]
        first = [[[shared.start(n) if n else -1 for n in parts] for parts in cell] for cell in names]
        step = [[[shared.entry_size(n) if n else 0 for n in parts] for parts in cell] for cell in names]
        self._first, self._step = torch.tensor(first, device=device), torch.tensor(step, device=device)
        self._kinds = torch.tensor([CELLS.index(shape.kind) for shape in shapes], device=device)
        self._reduction = torch.tensor([shape.reduction for shape in shapes], device=device).view(-1, 1, 1)
        self._channels = torch.tensor([shape.channels for shape in shapes], device=device).view(-1, 1, 1)
        self._facts = torch.tensor([_facts(primitive) for primitive in PRIMITIVES], device=device)
        self._taps_first = _taps_first(shared, shapes).to(device)

    def weights(self, flat: Tensor) -> Tensor:
        """Copy of the supernet's vector with depthwise weights [k², C] instead of [C, k²], each in its old position.

        The channels of a tap then lie side by side, as those of a pixel do.
        """
        return flat.index_select(0, self._taps_first)

    def edges(self, table: Tensor, sizes: Tensor) -> tuple[Tensor, Tensor]:
        """Rows of all edges, int64 [cells, nodes, 2S, columns], and those of the factorised reductions among them.

        Args:
            table: architectures, int64 [S, 2, 4, 2, 2], see `ArchitectureBatch`.
            sizes: elements of an input and of a node of one child, int64 [cells, 2], see `sizes_of`.
        """
        children, device = len(table), table.device
        choices = table[:, self._kinds].permute(1, 2, 0, 3, 4).flatten(2, 3)
        source, primitive = choices.unbind(-1)
        cell = torch.arange(len(choices), device=device).view(-1, 1, 1)
        node = torch.arange(NODES, device=device).view(1, -1, 1)
        row = torch.arange(SLOTS * children, device=device)
        child = row // SLOTS
        # In a reduction cell only the edges from the cell's inputs have stride 2 (DARTS, 1806.09055, section 3.1); a
        # skip connection of stride 2 is a factorised reduction.
        facts = self._facts[primitive]
        stride = 1 + (self._reduction & (source < 2)).long()
        kind = facts[..., 0] + ((facts[..., 0] == IDENTITY) & (stride == 2)).long()
        kernel, dilation, repeats = facts[..., 1:].unbind(-1)

        # First elements in the buffers of states and gradients, see `Maps`: both inputs of all children, the nodes, and
        # (only of gradients) the results of first stages.
        input_size, node_size = (part.view(-1, 1, 1) for part in sizes.unbind(-1))
        nodes_start = 2 * children * input_size
        from_input = (source * children + child) * input_size
        from_node = nodes_start + ((source - 2) * children + child) * node_size
        offset = torch.where(source < 2, from_input, from_node)
        above = nodes_start + (node * children + child) * node_size
        inside = nodes_start + NODES * children * node_size + row * node_size
        twice = repeats == 2

        # Index of the edge among the weights: node j has j + 2 possible sources, so that Σ (i + 2) = j (j + 3) / 2
        # edges lead to the nodes before it. Factorised reductions have only the two inputs as sources.
        entry = torch.where(kind == HALVE, 2 * node + source, node * (node + 3) // 2 + source)
        weights = self._first[cell, primitive] + entry[..., None] * self._step[cell, primitive]
        depthwise, pointwise, depthwise_1, pointwise_1, even, odd = weights.unbind(-1)
        halve = kind == HALVE
        none = torch.full_like(offset, -1)
        columns = [kind, offset, stride, kernel, dilation, repeats, self._channels * kernel * kernel]
        # The gradient of an edge's result belongs to its last stage; the first of two gets its own from the second.
        columns += [torch.where(twice, inside, above), depthwise, pointwise]
        columns += [torch.where(twice, above, none), depthwise_1, pointwise_1]
        halvings = [offset, offset, above, even, odd]
        return torch.stack(columns, -1), torch.stack([torch.where(halve, each, none) for each in halvings], -1)


def _taps_first(shared: SharedParameters, shapes: list[CellShape]) -> Tensor:
    """For every number of `Tables.weights`, its position in the supernet's vector (int32)."""
    index = torch.arange(shared.flat.numel(), dtype=torch.int32)
    for cell, shape in enumerate(shapes):
        for primitive, kind in SEPARABLE.items():
            for repeat in range(kind.repeats):
                start = shared.start(f"cells.{cell}.{primitive}.{repeat}.depthwise")
                size = EDGES * shape.channels * kind.kernel**2
                part = index[start : start + size].view(EDGES, shape.channels, -1)
                part.view(-1).copy_(part.transpose(1, 2).flatten())
    return index


def _facts(primitive: str) -> list[int]:
    """Kind, kernel side, dilation and repeats of a primitive."""
    if primitive in SEPARABLE:
        shape = SEPARABLE[primitive]
        return [CONVOLVE, shape.kernel, shape.dilation, shape.repeats]
    kind = {"max_pool_3x3": MAX_POOL, "avg_pool_3x3": AVERAGE_POOL, SKIP: IDENTITY}[primitive]
    return [kind, 3, 1, 1]


def sizes_of(maps: list[Maps], device: torch.device) -> Tensor:
    """Elements of an input and of a node of one child of every cell, int64 [cells, 2]."""
    return torch.tensor([[each.input_size, each.node_size] for each in maps], device=device)
