"""Figure: training-free score against trained accuracy (NASWOT, ICML 2021, figure 3)."""

from pathlib import Path

import pandas as pd

from parsec.report.figures.style import BLUE, DOUBLE, Drawing, new_figure
from parsec.report.tables.naswot import KINDS, LABELS, correlation, read_inputs
from parsec.tabular.nasbench201 import DATA

SHOWN = 1000
"""Dots of a panel, as in the paper; τ is that of all architectures."""
SMALL = 300.0
"""Scores of the Jacobian up to this size are shown in proportion, larger ones by their logarithm."""


def draw(inputs: list[Path]) -> Drawing:
    """The benchmark's table and files of scores: a row of panels a file, a column a data set.

    Raises:
        UserError: a file that is missing or another one.
    """
    truth, scored = read_inputs("naswot-scatter", inputs)
    figure = new_figure(DOUBLE, 0.2 + 2.2 * len(scored))
    grid, shown = figure.subplots(len(scored), len(DATA), squeeze=False), []
    for line, one in zip(grid, scored, strict=True):
        rows = one.rows[one.rows["status"] == "scored"]
        for axes, data in zip(line, DATA, strict=True):
            found = correlation(one.rows, truth.test[data])
            dots = rows.head(SHOWN)
            reached = truth.test[data][dots["index"]]
            axes.plot(dots["score"], reached, ".", color=BLUE, markersize=1.5, alpha=0.5, rasterized=True)
            axes.set_title(f"{LABELS[data]}\nτ = {found.tau:.3f}, n = {found.n:,}")
            if one.kind == "jacobian_eigenvalues":
                axes.set_xscale("symlog", linthresh=SMALL)  # a few scores are thousands of times the others
            axes.set_xlabel(f"{KINDS[one.kind].capitalize()}, {one.mode} mode")
            named = {"score_of": one.kind, "mode": one.mode, "seed": one.seed, "test_of": data}
            shown.append(dots[["index", "score"]].assign(accuracy=reached, **named))
        line[0].set_ylabel("Test accuracy (%)")
    return Drawing(figure, pd.concat(shown))
