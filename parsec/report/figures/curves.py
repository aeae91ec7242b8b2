"""Figures over epochs, one panel per stage and one line per seed: entropy of π, effective samples, accuracy."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from parsec.report.figures.style import (
    BLACK,
    DOUBLE,
    GREY,
    SINGLE,
    Drawing,
    every,
    from_zero,
    legend_below,
    new_figure,
    series,
)
from parsec.report.inputs import KEYS, read_runs

LINE = ["method", "seed"]
"""Columns that distinguish the lines of a panel."""

MANY = 12
"""Number of lines from which seeds share one look: a full legend would leave no room for the panels."""
FAINT: dict[str, Any] = {"marker": "", "linewidth": 0.5, "alpha": 0.4}

Looks = Mapping[tuple[str, int], dict[str, Any]]


def looks_of(runs: pd.DataFrame) -> Looks:
    """Label and line by method and seed, the same in every panel; the method is named where there are several.

    Of `MANY` lines or more, those of a method look alike and share one label, which says how many there are.
    """
    lines = sorted(runs.groupby(LINE).groups)
    methods = list(dict.fromkeys(method for method, _ in lines))
    if len(lines) >= MANY:
        seeds = Counter(method for method, _ in lines)
        looks = {m: series(i).plot() | FAINT | {"label": f"{m}, {seeds[m]} seeds"} for i, m in enumerate(methods)}
        return {line: looks[line[0]] for line in lines}
    names = "{}, seed {}" if len(methods) > 1 else "seed {1}"
    return {line: {"label": names.format(*line), **series(i).plot()} for i, line in enumerate(lines)}


def plot_metric(axes: Axes, run: pd.DataFrame, name: str, look: Mapping[str, Any], factor: float = 1.0) -> None:
    """Draw one metric of one run over the epochs at which it was recorded, multiplied by `factor`."""
    recorded = run.dropna(subset=name)
    axes.plot(recorded["epoch"], factor * recorded[name], markevery=every(len(recorded)), **look)


def epoch_axis(axes: Axes, labelled: bool = True) -> None:
    """Whole epochs on the horizontal axis; the margin shows markers at its ends whole."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.margins(x=0.03)
    if labelled:
        axes.set_xlabel("Epoch")


METRICS = ["entropy", "samples", "ess_prior", "ess_weights"]
V_STEP: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "label": "_", "markerfacecolor": "white"}


def _plot_samples(axes: Axes, panel: pd.DataFrame) -> None:
    """The largest effective sample size that there can be: K."""
    largest = panel.dropna(subset="samples").groupby("epoch")["samples"].max()
    marker = "_" if len(largest) == 1 else ""
    look: dict[str, Any] = {"color": GREY, "linewidth": 0.8, "linestyle": (0, (1, 1.5)), "marker": marker}
    axes.plot(largest.index, largest, label="K, upper bound", **look)


def _size_axis(axes: Axes) -> None:
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0.93)


def _plot_stage(column: np.ndarray, title: str, panel: pd.DataFrame, looks: Looks) -> None:
    entropy, size = column
    _plot_samples(size, panel)
    for line, run in panel.groupby(LINE, sort=False):
        plot_metric(entropy, run, "entropy", looks[line])
        plot_metric(size, run, "ess_prior", looks[line])
        plot_metric(size, run, "ess_weights", looks[line] | V_STEP)
    entropy.set_title(title)
    _size_axis(size)
    epoch_axis(entropy, labelled=False)
    epoch_axis(size)


def plot_entropy(inputs: list[Path]) -> Drawing:
    """Run folders → entropy in nats above, effective sample size 1/Σω² below (mean of the epoch's steps)."""
    runs = read_runs(inputs)
    # Methods without samples have none of their sizes.
    runs = runs.reindex(columns=[*runs, *(name for name in METRICS if name not in runs)])
    looks, panels = looks_of(runs), runs.groupby("panel", sort=False)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 3.4)
    grid = figure.subplots(2, len(panels), squeeze=False, sharey="row", sharex="col")
    for column, (title, panel) in zip(grid.T, panels, strict=True):
        _plot_stage(column, title, panel, looks)
    from_zero(grid[0])
    grid[0, 0].set_ylabel("Entropy of π (nats)")
    grid[1, 0].set_ylabel("Effective sample size")
    for look in ({"label": "π-step"}, V_STEP | {"label": "v-step"}):
        grid[1, 0].add_line(Line2D([], [], color=BLACK, marker="o", **look))
    figure.align_ylabels(grid[:, 0])
    legend_below(figure, grid.flat)
    return Drawing(figure, runs[[*KEYS, "epoch", *METRICS]])


def plot_accuracy(inputs: list[Path]) -> Drawing:
    """Run folders → accuracy in percent of the most probable architecture with shared weights, validation half."""
    runs = read_runs(inputs)
    looks, panels = looks_of(runs), runs.groupby("panel", sort=False)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 2.2)
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, panel) in zip(grid, panels, strict=True):
        for line, run in panel.groupby(LINE, sort=False):
            plot_metric(axes, run, "mode_accuracy", looks[line], factor=100.0)
        axes.set_title(title)
        epoch_axis(axes)
    from_zero(grid)
    grid[0].set_ylabel("Validation accuracy\nof the mode (%)")
    if len(looks) > 1:
        legend_below(figure, grid)
    return Drawing(figure, runs[[*KEYS, "epoch", "mode_accuracy"]])
