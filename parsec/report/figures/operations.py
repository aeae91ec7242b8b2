"""Figure: share of every primitive under π over epochs; a collapse to skip connections shows as the black line."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from parsec.errors import UserError
from parsec.report.figures.curves import LINE, epoch_axis
from parsec.report.figures.style import (
    DOUBLE,
    PRIMITIVES,
    SINGLE,
    Drawing,
    every,
    from_zero,
    legend_below,
    new_figure,
    primitive_label,
    primitive_line,
)
from parsec.report.inputs import KEYS, ORDER, read_runs

COLUMNS = 4
"""Panels side by side, at most."""
NAMES = {"normal": "Normal cell", "reduce": "Reduction cell", "cell": "Cell"}


def _shares(runs: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Expected share of every primitive in the slots of a cell, one row per run, epoch and primitive."""
    counts = pd.DataFrame([operations[cell] for operations in runs["operations"]])
    shares = counts.div(counts.sum(axis=1), axis=0)
    keys = runs[[*KEYS, "panel", "epoch"]].assign(cell=cell)
    shares.index = pd.MultiIndex.from_frame(keys)
    return shares.rename_axis(columns="primitive").stack().rename("share").reset_index()


def _plot_cell(axes: Axes, shares: pd.DataFrame) -> None:
    """Mean over seeds as a line, all seeds as a band."""
    by_name = dict(list(shares.groupby("primitive", sort=False)))
    for name in sorted(by_name, key=[*PRIMITIVES, *by_name].index):
        values = 100 * by_name[name].pivot(index="epoch", columns=LINE, values="share").dropna()
        line = primitive_line(name)
        width = 2.0 if name == "skip_connect" else 1.2
        look = line.plot() | {"linewidth": width, "markevery": every(len(values)), "label": primitive_label(name)}
        axes.plot(values.index, values.mean(axis=1), **look)
        if len(values.columns) > 1:
            band = values.min(axis=1), values.max(axis=1)
            axes.fill_between(values.index, *band, color=line.colour, alpha=0.15, lw=0)


def _cells(runs: pd.DataFrame) -> tuple[str, ...]:
    """The cells that are searched, in the order in which they were recorded."""
    cells = {tuple(operations) for operations in runs["operations"]}
    if len(cells) != 1:
        raise UserError("the figure operations shows runs on one search space; draw each space separately")
    return cells.pop()


def _title(shares: pd.DataFrame, panel: str, method: str) -> str:
    """Title that distinguishes a panel: its stage and data set, its method, or both."""
    several = {"panel": shares["panel"].nunique() > 1, "method": shares["method"].nunique() > 1}
    return f"{method}, {panel}" if all(several.values()) else method if several["method"] else panel


def _plot_panel(column: np.ndarray, title: str, panel: pd.DataFrame, cells: tuple[str, ...], labelled: bool) -> None:
    """One method in one stage: its cells below each other."""
    for axes, cell in zip(column, cells, strict=True):
        _plot_cell(axes, panel[panel["cell"] == cell])
        epoch_axis(axes, labelled=cell == cells[-1])
        axes.tick_params(labelbottom=cell == cells[-1])
        if labelled:
            axes.set_ylabel(f"{NAMES[cell]}\nshare under π (%)")
    column[0].set_title(title)


def plot_operations(inputs: list[Path]) -> Drawing:
    """Run folders → share in percent of each primitive in the slots (or edges) of a cell, expected under π.

    Every method has panels of its own, because a collapse of one must not be hidden in a mean over all.

    Raises:
        UserError: a run that cannot be read, or runs on different search spaces.
    """
    runs = read_runs(inputs).dropna(subset="operations")
    cells = _cells(runs)
    shares = pd.concat([_shares(runs, cell) for cell in cells])
    panels = [(_title(shares, *key), panel) for key, panel in shares.groupby(["panel", "method"], sort=False)]
    # At most COLUMNS methods side by side, the cells of each below one another.
    wide = min(len(panels), COLUMNS)
    rows = -(-len(panels) // wide) * len(cells)
    figure = new_figure(SINGLE if wide == 1 else DOUBLE, 0.6 + 1.5 * rows)
    grid = figure.subplots(rows, wide, squeeze=False, sharey=True)
    for i, (title, panel) in enumerate(panels):
        block, column = divmod(i, wide)
        _plot_panel(grid[block * len(cells) :, column][: len(cells)], title, panel, cells, labelled=column == 0)
    for axes in grid.flat:
        if not axes.has_data():
            axes.remove()
    drawn = [axes for axes in grid.flat if axes.has_data()]
    from_zero(drawn)
    legend_below(figure, drawn)
    numbers = shares.sort_values([*ORDER, "cell", "epoch"], kind="stable")
    return Drawing(figure, numbers[[*KEYS, "epoch", "cell", "primitive", "share"]])
