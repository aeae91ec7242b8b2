"""Figure: test accuracy of what simulated searches had found, over trainings (NASWOT, ICML 2021, figure 7)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from parsec.errors import UserError
from parsec.report.figures.style import DOUBLE, GREY, Drawing, every, legend_below, new_figure, series
from parsec.report.tables.naswot import LABELS, Scored, read_scored
from parsec.report.tables.naswot_search import METHODS, Simulated, incumbents, read_simulated, replay
from parsec.stats import summarise
from parsec.tabular.nasbench201 import DATA, ReportColumns, read_report_columns

POINTS = 60
AXES = {"trained": "Trained architectures", "seconds": "Seconds of training"}
FROM = 5
"""Trainings from which on is shown: before, all searches are draws at random or a few good scores."""
DASHES = {10: ":", 100: "--", 1000: "-."}
"""Lines of NASWOT by N."""


def draw(inputs: list[Path]) -> Drawing:
    """The benchmark's table, one simulations.parquet, and perhaps scores.parquet, for NASWOT's own search.

    Lines are means over repeats, bands the 95 % t-interval of the mean. NASWOT trains nothing: its lines are level.

    Raises:
        UserError: a file that is missing or another one.
    """
    if len(inputs) < 2:
        raise UserError("naswot-cost: give the benchmark's table, a simulations.parquet, and perhaps a scores.parquet")
    truth, simulated = read_report_columns(inputs[0]), read_simulated(inputs[1], "nasbench201")
    rows = list(_curves(simulated, truth))
    for path in inputs[2:]:
        rows += _levels(read_scored(path), truth)
    data = pd.DataFrame(rows)
    figure = new_figure(DOUBLE, 2.6)
    grid = figure.subplots(1, len(DATA))
    for axes, name in zip(grid, DATA, strict=True):
        _panel(axes, data[data["test_of"] == name], simulated)
        axes.set_title(LABELS[name])
    grid[0].set_ylabel("Test accuracy (%)")
    legend_below(figure, grid)
    return Drawing(figure, data)


def _curves(simulated: Simulated, truth: ReportColumns) -> Iterator[dict[str, object]]:
    points = np.geomspace(_first(simulated), simulated.spent, POINTS)
    points = np.unique(points.round()) if simulated.cost == "trained" else points
    for method in (name for name in METHODS if name in set(simulated.rows["method"])):
        found = incumbents(simulated.rows[simulated.rows["method"] == method], points, simulated.cost)
        for data in DATA:
            for place, spent in enumerate(points):
                reached = summarise([float(value) for value in truth.test[data][found[:, place]]])
                yield {"method": method, "spent": spent, "unit": simulated.cost, "test_of": data, **reached._asdict()}


def _levels(scored: Scored, truth: ReportColumns) -> Iterator[dict[str, object]]:
    for drawn in replay([scored]):
        for data in DATA:
            reached = summarise([float(value) for value in truth.test[data][drawn.chosen]])
            named = {
                "method": "naswot",
                "candidates": drawn.candidates,
                "spent": 0.0,
                "test_of": data,
            }
            yield {**named, **reached._asdict()}


def _first(simulated: Simulated) -> float:
    """Cost from which on is shown."""
    if simulated.cost == "trained":
        return min(FROM, simulated.budget)
    return simulated.spent * min(FROM, simulated.budget) / simulated.budget


def _panel(axes: Axes, rows: pd.DataFrame, simulated: Simulated) -> None:
    for place, (method, label) in enumerate(METHODS.items()):
        line = rows[rows["method"] == method]
        if len(line):
            look = series(place)
            axes.plot(line["spent"], line["mean"], label=label, markevery=every(len(line)), **look.plot())
            axes.fill_between(line["spent"], line["low"], line["high"], color=look.colour, alpha=0.2, linewidth=0)
    for level in rows[rows["method"] == "naswot"].to_dict("records"):
        count = int(level["candidates"])
        axes.axhline(level["mean"], color=GREY, linestyle=DASHES[count], label=f"NASWOT, N = {count:,}")
    axes.set_xscale("log")
    axes.set_xlim(_first(simulated), simulated.spent)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "25" else ""))
    axes.set_xlabel(AXES[simulated.cost])
