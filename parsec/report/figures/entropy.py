"""Figure: entropy of π and effective sample size over epochs, one column a stage."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from parsec.report.figures.curves import draw_line, epoch_axis, metric_rows, seeds_of
from parsec.report.figures.style import BLACK, DOUBLE, GREY, SINGLE, Dash, Drawing, legend_below, new_figure
from parsec.report.runs import Run, read_panels

METRICS = ("entropy", "samples", "ess_prior", "ess_weights")
DASHED: Dash = (0, (4, 1.5))


def _draw_samples(axes: Axes, runs: list[Run]) -> None:
    """The largest effective sample size that there can be: K."""
    epochs, values = max((run.values("samples") for run in runs), key=lambda found: len(found[0]))
    marker = "_" if len(epochs) == 1 else ""
    axes.plot(epochs, values, color=GREY, linewidth=0.8, linestyle=(0, (1, 1.5)), marker=marker, label="K, upper bound")


def _size_axis(axes: Axes) -> None:
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0.93)


def _draw_stage(column: np.ndarray, runs: list[Run], lines: list[tuple[str, int]]) -> None:
    entropy, size = column
    _draw_samples(size, runs)
    look = {"linestyle": DASHED, "label": "_", "markerfacecolor": "white"}
    for run in runs:
        draw_line(entropy, run, "entropy", lines)
        draw_line(size, run, "ess_prior", lines)
        draw_line(size, run, "ess_weights", lines, style=look)
    entropy.set_title(runs[0].panel)
    entropy.set_ylim(bottom=0)
    _size_axis(size)
    epoch_axis(entropy, labelled=False)
    epoch_axis(size)


def draw(inputs: list[Path]) -> Drawing:
    """Run folders → entropy in nats above, effective sample size 1/Σω² below (mean of the epoch's steps)."""
    panels = read_panels(inputs)
    lines = seeds_of(panels)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 3.4)
    grid = figure.subplots(2, len(panels), squeeze=False, sharey="row", sharex="col")
    for column, runs in zip(grid.T, panels.values(), strict=True):
        _draw_stage(column, runs, lines)
    grid[0, 0].set_ylabel("Entropy of π (nats)")
    grid[1, 0].set_ylabel("Effective sample size")
    steps: dict[str, Dash] = {"π-step": "-", "v-step": DASHED}
    for label, dash in steps.items():
        grid[1, 0].add_line(Line2D([], [], color=BLACK, linestyle=dash, label=label))
    figure.align_ylabels(grid[:, 0])
    legend_below(figure, grid.flat)
    return Drawing(figure, metric_rows(panels, METRICS))
