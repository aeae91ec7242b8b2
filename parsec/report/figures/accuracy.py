"""Figure: validation accuracy of the mode of π over epochs, one panel a stage."""

from pathlib import Path

from parsec.report.figures.curves import LINE, draw_line, epoch_axis, looks_of
from parsec.report.figures.style import DOUBLE, SINGLE, Drawing, from_zero, legend_below, new_figure
from parsec.report.runs import KEYS, read_runs


def draw(inputs: list[Path]) -> Drawing:
    """Run folders → accuracy in percent of the most probable architecture with shared weights, validation half."""
    runs = read_runs(inputs)
    looks, panels = looks_of(runs), runs.groupby("panel", sort=False)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 2.2)
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, panel) in zip(grid, panels, strict=True):
        for line, run in panel.groupby(LINE, sort=False):
            draw_line(axes, run, "mode_accuracy", looks[line], factor=100.0)
        axes.set_title(title)
        epoch_axis(axes)
    from_zero(grid)
    grid[0].set_ylabel("Validation accuracy\nof the mode (%)")
    if len(looks) > 1:
        legend_below(figure, grid)
    return Drawing(figure, runs[[*KEYS, "epoch", "mode_accuracy"]])
