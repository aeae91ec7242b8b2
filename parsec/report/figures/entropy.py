"""Figure: entropy of π and effective sample size over epochs, one column a stage."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from parsec.report.figures.curves import LINE, Looks, draw_line, epoch_axis, looks_of
from parsec.report.figures.style import BLACK, DOUBLE, GREY, SINGLE, Drawing, from_zero, legend_below, new_figure
from parsec.report.runs import KEYS, read_runs

METRICS = ["entropy", "samples", "ess_prior", "ess_weights"]
V_STEP: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "label": "_", "markerfacecolor": "white"}


def _draw_samples(axes: Axes, panel: pd.DataFrame) -> None:
    """The largest effective sample size that there can be: K."""
    found = panel.dropna(subset="samples").groupby("epoch")["samples"].max()
    marker = "_" if len(found) == 1 else ""
    look: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (1, 1.5)), "marker": marker}
    axes.plot(found.index, found, label="K, upper bound", **look)


def _size_axis(axes: Axes) -> None:
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0.93)


def _draw_stage(column: np.ndarray, title: str, panel: pd.DataFrame, looks: Looks) -> None:
    entropy, size = column
    _draw_samples(size, panel)
    for line, run in panel.groupby(LINE, sort=False):
        draw_line(entropy, run, "entropy", looks[line])
        draw_line(size, run, "ess_prior", looks[line])
        draw_line(size, run, "ess_weights", looks[line] | V_STEP)
    entropy.set_title(title)
    _size_axis(size)
    epoch_axis(entropy, labelled=False)
    epoch_axis(size)


def draw(inputs: list[Path]) -> Drawing:
    """Run folders → entropy in nats above, effective sample size 1/Σω² below (mean of the epoch's steps)."""
    runs = read_runs(inputs)
    # Methods without samples have none of their sizes.
    runs = runs.reindex(columns=[*runs, *(name for name in METRICS if name not in runs)])
    looks, panels = looks_of(runs), runs.groupby("panel", sort=False)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 3.4)
    grid = figure.subplots(2, len(panels), squeeze=False, sharey="row", sharex="col")
    for column, (title, panel) in zip(grid.T, panels, strict=True):
        _draw_stage(column, title, panel, looks)
    from_zero(grid[0])
    grid[0, 0].set_ylabel("Entropy of π (nats)")
    grid[1, 0].set_ylabel("Effective sample size")
    for look in ({"label": "π-step"}, V_STEP | {"label": "v-step"}):
        grid[1, 0].add_line(Line2D([], [], color=BLACK, marker="o", **look))
    figure.align_ylabels(grid[:, 0])
    legend_below(figure, grid.flat)
    return Drawing(figure, runs[[*KEYS, "epoch", *METRICS]])
