"""Figure: share of every primitive under π over epochs; a collapse to skip connections shows as the black line."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from parsec.report.figures.curves import epoch_axis
from parsec.report.figures.style import (
    DOUBLE,
    PRIMITIVES,
    SINGLE,
    Drawing,
    every,
    legend_below,
    new_figure,
    primitive_label,
    primitive_line,
)  # fmt: skip
from parsec.report.runs import Run, read_panels
from parsec.space.darts import CELLS

NAMES = {"normal": "Normal cell", "reduce": "Reduction cell"}


def _shares(run: Run, cell: str) -> tuple[list[int], list[dict[str, float]]]:
    """Epochs, and at each the expected share of every primitive in the slots of a cell."""
    epochs, counts = run.values("operations")
    return epochs, [{name: n / sum(c[cell].values()) for name, n in c[cell].items()} for c in counts]


def _draw_cell(axes: Axes, runs: list[Run], cell: str) -> None:
    """Mean over seeds as a line, all seeds as a band."""
    found = [_shares(run, cell) for run in runs]
    epochs = sorted(set.intersection(*(set(epochs) for epochs, _ in found)))
    names = list(found[0][1][0])
    for name in sorted(names, key=lambda name: list(PRIMITIVES).index(name) if name in PRIMITIVES else len(PRIMITIVES)):
        by_epoch = [[100 * shares[at.index(epoch)][name] for at, shares in found] for epoch in epochs]
        values = np.array(by_epoch)
        line = primitive_line(name)
        width = 2.0 if name == "skip_connect" else 1.2
        look = line.plot() | {"linewidth": width, "markevery": every(len(epochs)), "label": primitive_label(name)}
        axes.plot(epochs, values.mean(axis=1), **look)
        if len(runs) > 1:
            axes.fill_between(epochs, values.min(axis=1), values.max(axis=1), color=line.colour, alpha=0.15, lw=0)


def _rows(run: Run) -> list[dict[str, Any]]:
    return [
        {**run.keys, "epoch": epoch, "cell": cell, "primitive": name, "share": share}
        for cell in CELLS
        for epoch, shares in zip(*_shares(run, cell), strict=True)
        for name, share in shares.items()
    ]


def draw(inputs: list[Path]) -> Drawing:
    """Run folders → share in percent of each primitive in the 8 slots of a cell, expected under π."""
    panels = read_panels(inputs)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 3.6)
    grid = figure.subplots(len(CELLS), len(panels), squeeze=False, sharex="col", sharey=True)
    for column, runs in zip(grid.T, panels.values(), strict=True):
        for axes, cell in zip(column, CELLS, strict=True):
            _draw_cell(axes, runs, cell)
            epoch_axis(axes, labelled=cell == CELLS[-1])
            axes.set_ylim(bottom=0)
        column[0].set_title(runs[0].panel)
    for axes, cell in zip(grid[:, 0], CELLS, strict=True):
        axes.set_ylabel(f"{NAMES[cell]}\nshare under π (%)")
    legend_below(figure, grid.flat)
    return Drawing(figure, [row for runs in panels.values() for run in runs for row in _rows(run)])
