"""Where the maps of a cell lie in flat buffers, and how a 1 × 1 convolution reads them."""

from typing import NamedTuple

from parsec.space.darts import NODES, SLOTS


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
        """Picks of a node: 2S."""
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


class Mixing(NamedTuple):
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
    return max(16, 2048 // width, min(64, 8192 // width))


def tiles(pixels: int, channels: int) -> int:
    """Tiles of a map, whose sums and squared deviations batch norm combines."""
    return -(-pixels // tile_pixels(channels))
