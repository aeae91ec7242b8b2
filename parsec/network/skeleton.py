"""Macro skeleton of the cell networks: shapes of the stacked cells, stems, classifier and auxiliary head."""

from typing import Literal, NamedTuple

from torch import Tensor, nn

from parsec.config.training import Network
from parsec.errors import SettingsError
from parsec.network.layers import BatchNorm, Cost, batch_norm_cost, conv_cost, linear_cost, strided, total
from parsec.space.darts import NODES, is_reduction

STEM_WIDTH = 3
"""Channels of the CIFAR stem, in units of the first cell's channels."""


class CellShape(NamedTuple):
    """Channels and strides of one cell."""

    reduction: bool
    after_reduction: bool
    channels: int
    channels_before_previous: int
    channels_previous: int

    @property
    def kind(self) -> str:
        """Which of the genotype's two cells stands here."""
        return "reduce" if self.reduction else "normal"


def stem_channels(network: Network) -> int:
    """Channels that the stem hands to the first cell."""
    return STEM_WIDTH * network.channels if network.stem == "cifar" else network.channels


def cell_shapes(network: Network) -> list[CellShape]:
    """Shapes of all cells from the stem up: channels double and resolution halves at one and two thirds."""
    before = previous = stem_channels(network)
    channels, after_reduction = network.channels, network.stem == "imagenet"
    shapes = []
    for index in range(network.cells):
        reduction = is_reduction(index, network.cells)
        channels *= 2 if reduction else 1
        shapes.append(CellShape(reduction, after_reduction, channels, before, previous))
        before, previous, after_reduction = previous, NODES * channels, reduction
    return shapes


def output_channels(network: Network) -> int:
    """Channels of the last cell's output, which the classifier reads."""
    return NODES * cell_shapes(network)[-1].channels


def cell_sides(network: Network, image_size: int) -> list[int]:
    """Side of every cell's inputs, and at the end that of the last cell's output, pixels.

    Input 0 of a cell after a reduction is still twice as large when it arrives; the cell halves it first.
    """
    side = image_size if network.stem == "cifar" else strided(image_size, 8)
    sides = [side]
    for cell in range(network.cells):
        sides.append(strided(sides[-1], 2 if is_reduction(cell, network.cells) else 1))
    return sides


def edge_stride(shape: CellShape, source: int) -> int:
    """Stride of an edge from input number `source` of a cell: only the cell's own two inputs are reduced."""
    return 2 if shape.reduction and source < 2 else 1


def auxiliary_cell(network: Network) -> int:
    """Number of the cell after which the auxiliary head stands: the second reduction (DARTS)."""
    return 2 * network.cells // 3


StemName = Literal["cifar", "imagenet"]


def _conv_bn(inputs: int, outputs: int, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False), BatchNorm(outputs)


def _conv_bn_cost(inputs: int, outputs: int, side: int) -> Cost:
    return total((conv_cost(inputs, outputs, 3, side), batch_norm_cost(outputs)))


class CifarStem(nn.Module):
    """3 × 3 convolution to three times the channels; its map is both inputs of the first cell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*_conv_bn(3, 3 * channels, stride=1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images [B, 3, H, W] to inputs 0 and 1 of the first cell."""
        x = self.layers(x)
        return x, x


class ImageNetStem(nn.Module):
    """Three 3 × 3 convolutions of stride 2; the maps after the second and the third are the first cell's inputs."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = _conv_bn(3, channels // 2, stride=2), _conv_bn(channels // 2, channels, stride=2)
        self.before = nn.Sequential(*first, nn.ReLU(), *second)
        self.last = nn.Sequential(nn.ReLU(), *_conv_bn(channels, channels, stride=2))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map images [B, 3, H, W] to inputs 0 and 1 of the first cell, at a quarter and an eighth of the side."""
        before = self.before(x)
        return before, self.last(before)


def stem(name: StemName, channels: int) -> nn.Module:
    """Stem of a network whose first cell has `channels` channels."""
    return {"cifar": CifarStem, "imagenet": ImageNetStem}[name](channels)


def stem_cost(name: StemName, channels: int, image_size: int) -> Cost:
    """Cost of `stem(name, channels)` on an image of `image_size` × `image_size` pixels."""
    if name == "cifar":
        return _conv_bn_cost(3, 3 * channels, image_size)
    half, quarter = strided(image_size, 2), strided(image_size, 4)
    convs = ((3, channels // 2, half), (channels // 2, channels, quarter), (channels, channels, strided(image_size, 8)))
    return total(_conv_bn_cost(*conv) for conv in convs)


class Classifier(nn.Module):
    """Mean over the map, then a linear layer."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, H, W] to logits [B, classes]."""
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def classifier_cost(channels: int, classes: int) -> Cost:
    """Cost of `Classifier(channels, classes)`."""
    return linear_cost(channels, classes)


def auxiliary_window(side: int) -> tuple[int, int]:
    """Kernel and stride of the pool that leaves 2 × 2 of a map of `side` × `side` pixels.

    DARTS uses 5 and 3 on 8 pixels (CIFAR), 5 and 2 on 7 (ImageNet); this gives the same there.

    Raises:
        SettingsError: the map is smaller than 2 × 2.
    """
    if side < 2:
        raise SettingsError(
            f"the image is too small for an auxiliary head on this network: its map is {side} × {side} pixels there; "
            "use larger images (augmentation.size) or set auxiliary_weight to 0"
        )
    kernel = max(min(5, side - 1), strided(side, 2))
    return kernel, side - kernel


class AuxiliaryHead(nn.Sequential):
    """Classifier on an inner map that helps to train deep stacks: [B, C, side, side] to logits [B, classes]."""

    def __init__(self, name: StemName, channels: int, classes: int, side: int) -> None:
        kernel, stride = auxiliary_window(side)
        # DARTS' ImageNet head has no batch norm after its last convolution; its results were reached so.
        last_norm = [BatchNorm(768)] if name == "cifar" else []
        super().__init__(
            nn.ReLU(),
            nn.AvgPool2d(kernel, stride),
            nn.Conv2d(channels, 128, 1, bias=False),
            BatchNorm(128),
            nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False),
            *last_norm,
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(768, classes),
        )
