"""Figure: effective sample size of a predictor's proposal, and the error of its gradient, over its strength β."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from parsec.errors import UserError
from parsec.report.figures.style import BLACK, DOUBLE, GREY, Drawing, legend_below, new_figure, series
from parsec.report.tables.proposals import read

MEASURES = {"share": "Effective sample size / K", "error": "Error of the gradient\n/ that under π"}
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
HIGHEST = 3.0
"""Ratio of errors above which nothing is drawn: a proposal that bad is of no use, however bad."""


def draw(inputs: list[Path]) -> Drawing:
    """One `proposal.parquet` → a column a likelihood, for the last π and the largest K; bands: 95 % intervals.

    Raises:
        UserError: another number of files, or one that is missing, damaged or another.
    """
    if len(inputs) != 1:
        raise UserError("proposal: give one proposal.parquet, as `parsec propose` makes it")
    rows, _ = read(inputs[0])
    last = rows["prior"].iloc[-1]
    rows = rows[(rows["prior"] == last) & (rows["samples"] == rows["samples"].max())].sort_values("beta")
    images = sorted(rows["images"].unique())
    figure = new_figure(DOUBLE, 4.2)
    grid = figure.subplots(len(MEASURES), len(images), squeeze=False, sharex=True, sharey="row")
    for panels, (measure, label) in zip(grid, MEASURES.items(), strict=True):
        panels[0].set_ylabel(label)
        for axes, count in zip(panels, images, strict=True):
            _panel(axes, rows[rows["images"] == count], measure)
    for axes, count in zip(grid[0], images, strict=True):
        axes.set_title(f"likelihood of {count} image{'s' if count > 1 else ''}")
    for axes in grid[-1]:
        axes.set_xlabel("Strength of the predictor β")
    grid[0, 0].set_ylim(0, 1.05)
    top = min(HIGHEST, 1.06 * max(axes.dataLim.ymax for axes in grid[1]))
    grid[1, 0].set_ylim(0, top)
    for place, defence in enumerate(sorted(rows["defence"].unique())):
        label = f"{100 * defence:.0f} % of the children from π"
        grid[0, 0].add_line(Line2D([], [], color=BLACK, linestyle=DASHES[place % len(DASHES)], label=label))
    figure.suptitle(f"π of {last}, K = {rows['samples'].iloc[0]}", fontsize=8)
    legend_below(figure, grid.flat)
    return Drawing(figure, rows)


def _panel(axes: Axes, rows: pd.DataFrame, measure: str) -> None:
    shares = sorted(rows["defence"].unique())
    for place, (trained, group) in enumerate(rows.groupby("trained")):
        for defence, line in group.groupby("defence"):
            look = series(place).plot() | {"linestyle": DASHES[shares.index(defence) % len(DASHES)]}
            label = f"{trained} trained architectures" if defence == shares[0] else "_"
            axes.plot(line["beta"], line[measure], label=label, **look)
            ends = (line[f"{measure}_{end}"] for end in ("low", "high"))
            axes.fill_between(line["beta"], *ends, color=look["color"], alpha=0.15, lw=0)
    if measure == "error":
        axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
