"""Figure: test error against search cost, ours and published; different units never share an axis."""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from parsec.errors import UserError
from parsec.records.results import read_results
from parsec.report.figures.style import (
    GREY,
    SINGLE,
    Drawing,
    Line,
    legend_below,
    new_figure,
    series,
)  # fmt: skip
from parsec.report.notes import same_data, stand_ins
from parsec.report.published import protocol, published_rows
from parsec.report.rows import Row, our_rows
from parsec.report.runs import TITLES
from parsec.report.search_cost import CPU_HOURS, GPU_DAYS, Result
from parsec.report.text import significant

FAMILIES = {
    "gradient-based": "o",
    "evolution": "^",
    "RL": "s",
    "random": "x",
}
OTHER = "D"
PAPER = "PARSEC, published"
SOURCES = {"ours": "this run", "published": "published"}


class Point(NamedTuple):
    """One architecture: cost in `unit`, error and its standard deviation in percent."""

    source: str
    label: str
    architecture: str
    data_set: str
    cost: float
    unit: str
    error: float
    std: float | None


def _our_point(row: Row, data_set: str) -> Point:
    unit = GPU_DAYS if GPU_DAYS in row.cost else CPU_HOURS
    label = f"ours, {TITLES[row.origin].lower()}"
    extra = "".join(f" (+ {significant(v, 2)} {name})" for name, v in row.cost.items() if name != unit)
    return Point("ours", label + extra, row.architecture, data_set, row.cost[unit], unit, row.top1.mean, row.top1.std)


def _our_points(results: list[Result]) -> Iterable[Point]:
    for data_set in dict.fromkeys(result["dataset"] for result in results if result["kind"] == "retrain"):
        yield from (_our_point(row, data_set) for row in our_rows(results, data_set) if any(row.cost.values()))


def _published_points(path: Path) -> Iterable[Point]:
    data_set = protocol(path.stem, path.parent)["data_set"]
    for row in published_rows(path.stem, path.parent):
        if not row["search_cost_gpu_days"]:
            continue
        family = row["search_method"] if row["search_method"] in FAMILIES else "other"
        label = PAPER if row["architecture"].startswith("PARSEC") else f"published, {family}"
        std = float(row["top1_error_std"]) if row.get("top1_error_std") else None
        cost, error = float(row["search_cost_gpu_days"]), float(row["top1_error"])
        yield Point("published", label, row["architecture"], data_set, cost, GPU_DAYS, error, std)


def _panels(points: list[Point], results: list[Result]) -> dict[tuple[str, str], list[Point]]:
    """Points by data set and unit; published ones join ours only on the same data in the same unit."""
    trainings = [result for result in results if result["kind"] == "retrain"]
    replaced = {
        name: stand_ins([r for r in trainings if r["dataset"] == name]) for name in {p.data_set for p in points}
    }
    panels: dict[tuple[str, str], list[Point]] = {}
    for point in points:
        keys = [key for key in panels if key[1] == point.unit and same_data(key[0], replaced[key[0]], point.data_set)]
        key = keys[0] if keys and point.source == "published" else (point.data_set, point.unit)
        panels.setdefault(key, []).append(point)
    return panels


def _look(label: str, ours: list[str]) -> dict[str, Any]:
    if label in ours:
        return series(ours.index(label)).plot() | {"markersize": 6, "zorder": 4}
    if label == PAPER:
        return Line("black", "", "*").plot() | {"markersize": 8, "zorder": 3}
    marker = FAMILIES.get(label.removeprefix("published, "), OTHER)
    return Line(GREY, "", marker).plot() | {"markersize": 4, "markerfacecolor": "none", "zorder": 2}


def _cost_axis(axes: Axes, points: list[Point], unit: str) -> None:
    costs = [point.cost for point in points]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 3, max(costs) * 3)
    steps = (1.0, 2.0, 5.0) if max(costs) < 30 * min(costs) else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"Search cost ({unit})")


def _draw_panel(axes: Axes, points: list[Point], unit: str, ours: list[str]) -> None:
    for label in dict.fromkeys(point.label for point in points):
        members = [point for point in points if point.label == label]
        look = _look(label, ours) | {"linestyle": "", "capsize": 2, "elinewidth": 0.8, "label": label}
        spread = [float("nan") if point.std is None else point.std for point in members]
        axes.errorbar([p.cost for p in members], [p.error for p in members], spread, **look)
    _cost_axis(axes, points, unit)
    axes.set_ylabel("Test error (%), mean ± std")


def draw(inputs: list[Path]) -> Drawing:
    """Result files of retraining and of the searches behind it, and perhaps one published table (CSV).

    Error bars are one standard deviation over trainings. Each panel has one data set and one unit of cost.

    Raises:
        UserError: nothing to show, a missing search, or a damaged file.
    """
    results = read_results(path for path in inputs if path.suffix != ".csv")
    points = list(_our_points(results))
    for table in (path for path in inputs if path.suffix == ".csv"):
        points += _published_points(table)
    if not points:
        raise UserError("the figure cost needs retraining results with a search cost; give those of the searches too")
    panels = _panels(points, results)
    ours = list(dict.fromkeys(point.label for point in points if point.source == "ours"))
    columns, rows = min(len(panels), 2), math.ceil(len(panels) / 2)
    figure = new_figure(SINGLE * columns + 0.2 * (columns - 1), 0.8 + 2.2 * rows)
    grid = [figure.add_subplot(rows, columns, place) for place in range(1, len(panels) + 1)]
    for axes, ((data_set, unit), members) in zip(grid, panels.items(), strict=True):
        _draw_panel(axes, members, unit, ours)
        axes.set_title(f"{data_set}: {' and '.join(dict.fromkeys(SOURCES[point.source] for point in members))}")
    legend_below(figure, grid)
    return Drawing(figure, [point._asdict() for point in points])
