"""Figure: validation accuracy of the mode of π over epochs, one panel a stage."""

from pathlib import Path

from parsec.report.figures.curves import draw_line, epoch_axis, metric_rows, seeds_of
from parsec.report.figures.style import DOUBLE, SINGLE, Drawing, legend_below, new_figure
from parsec.report.runs import read_panels


def draw(inputs: list[Path]) -> Drawing:
    """Run folders → accuracy in percent of the most probable architecture with shared weights, validation half."""
    panels = read_panels(inputs)
    lines = seeds_of(panels)
    figure = new_figure(SINGLE if len(panels) == 1 else DOUBLE, 2.2)
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, runs in zip(grid, panels.values(), strict=True):
        for run in runs:
            draw_line(axes, run, "mode_accuracy", lines, factor=100.0)
        axes.set_title(runs[0].panel)
        axes.set_ylim(0, 102)
        epoch_axis(axes)
    grid[0].set_ylabel("Validation accuracy\nof the mode (%)")
    if len(lines) > 1:
        legend_below(figure, grid)
    return Drawing(figure, metric_rows(panels, ("mode_accuracy",)))
