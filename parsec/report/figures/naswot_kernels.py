"""Figure: kernels of untrained networks, a row of panels a bin of trained accuracy (NASWOT, ICML 2021, figure 1)."""

import math
from pathlib import Path

import numpy as np
from matplotlib.cm import ScalarMappable

from parsec.errors import UserError
from parsec.records.parquet import KERNELS_FILE
from parsec.report.figures.style import DOUBLE, Drawing, new_figure

COLOURS = "viridis"


def draw(inputs: list[Path]) -> Drawing:
    """One kernels.parquet → every kernel as a picture, worst bin first, with the accuracy above it.

    All panels have one scale, from the least entry to 1; the numbers are the mean and the greatest entry off the
    diagonal.

    Raises:
        UserError: not one file, or a damaged one.
    """
    if len(inputs) != 1:
        raise UserError("naswot-kernels: give one kernels.parquet")
    rows, _ = KERNELS_FILE.read(inputs[0])
    pictures = [np.reshape(kernel, (math.isqrt(len(kernel)),) * 2) for kernel in rows["kernel"]]
    bins = list(dict.fromkeys(zip(rows["low"], rows["high"], strict=True)))
    columns, least = len(rows) // len(bins), min(float(picture.min()) for picture in pictures)
    figure = new_figure(DOUBLE, 0.3 + (DOUBLE - 0.8) / columns * 1.15 * len(bins))
    grid = figure.subplots(len(bins), columns, squeeze=False)
    for axes, picture, accuracy in zip(grid.flat, pictures, rows["accuracy"], strict=True):
        axes.imshow(picture, vmin=least, vmax=1, cmap=COLOURS, interpolation="nearest")
        axes.set_title(f"{accuracy:.1f} %")
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
    for line, (low, high) in zip(grid, bins, strict=True):
        line[0].set_ylabel(f"{low:g} to {high:g} %")
    scale = ScalarMappable(cmap=COLOURS)
    scale.set_clim(least, 1)
    figure.colorbar(scale, ax=grid, shrink=0.4, label="Share of units that agree")
    apart = [picture[~np.eye(len(picture), dtype=bool)] for picture in pictures]
    numbers = {
        "mean": [float(values.mean()) for values in apart],
        "greatest": [float(values.max()) for values in apart],
    }
    return Drawing(figure, rows.drop(columns="kernel").assign(**numbers))
