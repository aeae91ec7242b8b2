"""Figures of cost: error against search cost, memory against depth, memory and time of a step against K."""

import math
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator, ScalarFormatter

from parsec.errors import UserError
from parsec.records.documents import read_document, read_results
from parsec.report.figures.style import (
    BLACK,
    DOUBLE,
    GREY,
    SINGLE,
    Dash,
    Drawing,
    Line,
    from_zero,
    legend_below,
    new_figure,
    series,
)
from parsec.report.inputs import CPU_HOURS, GPU_DAYS, TITLES, Result, protocol, published_rows
from parsec.report.tables.accuracy import METHODS, Row, our_rows, same_data, stand_ins
from parsec.report.tables.base import significant

FAMILIES = {
    "gradient-based": "o",
    "evolution": "^",
    "RL": "s",
    "random": "x",
}
OTHER = "D"
PAPER = "PARSEC, published"
SOURCES = {"ours": "this run", "published": "published"}


SMALL = 5
"""Points of the names of methods, printed next to their points where there are several."""
COLUMNS = ["source", "label", "method", "architecture", "data_set", "cost", "unit", "error", "std"]
"""One row an architecture: cost in `unit`, error and its standard deviation in percent."""


def _our_point(row: Row, data_set: str) -> tuple[Any, ...]:
    unit = GPU_DAYS if GPU_DAYS in row.cost else CPU_HOURS
    label = f"ours, {TITLES[row.origin].lower()}"
    extra = "".join(f" (+ {significant(v, 2)} {name})" for name, v in row.cost.items() if name != unit)
    point = (row.cost[unit], unit, row.top1.mean, row.top1.std)
    return "ours", label + extra, row.method, row.architecture, data_set, *point


def _our_points(results: list[Result]) -> pd.DataFrame:
    data_sets = dict.fromkeys(result["dataset"] for result in results if result["kind"] == "retrain")
    rows = [(row, name) for name in data_sets for row in our_rows(results, name) if any(row.cost.values())]
    return pd.DataFrame([_our_point(*row) for row in rows], columns=COLUMNS).astype({"std": float})


def _published_points(path: Path) -> pd.DataFrame:
    rows = published_rows(path.stem, path.parent).query("search_cost_gpu_days != ''")
    family = rows["search_method"].where(rows["search_method"].isin(FAMILIES), "other")
    points = {
        "source": "published",
        "label": ("published, " + family).mask(rows["architecture"].str.startswith("PARSEC"), PAPER),
        "architecture": rows["architecture"],
        "data_set": protocol(path.stem, path.parent)["data_set"],
        "cost": rows["search_cost_gpu_days"].astype(float),
        "unit": GPU_DAYS,
        "error": rows["top1_error"].astype(float),
        "std": pd.to_numeric(rows.get("top1_error_std", float("nan"))),
    }
    return pd.DataFrame(points)


def _beside(points: pd.DataFrame, results: list[Result]) -> dict[str, str]:
    """Published data sets that share a panel with ours: the same data, and ours with its cost in the same unit."""
    ours = points.query("source == 'ours' and unit == @GPU_DAYS")["data_set"].unique()
    theirs = points.query("source == 'published'")["data_set"].unique()
    trainings = [result for result in results if result["kind"] == "retrain"]
    replaced = {name: stand_ins(result for result in trainings if result["dataset"] == name) for name in ours}
    return {their: our for their in theirs for our in ours if same_data(our, replaced[our], their)}


def _look(label: str, ours: list[str]) -> dict[str, Any]:
    if label in ours:
        return series(ours.index(label)).plot() | {"markersize": 6, "zorder": 4}
    if label == PAPER:
        return Line("black", "", "*").plot() | {"markersize": 8, "zorder": 3}
    marker = FAMILIES.get(label.removeprefix("published, "), OTHER)
    return Line(GREY, "", marker).plot() | {"markersize": 4, "markerfacecolor": "none", "zorder": 2}


def _cost_axis(axes: Axes, costs: "pd.Series[float]", unit: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(costs.min() / 3, costs.max() * 3)
    steps = (1.0, 2.0, 5.0) if costs.max() < 30 * costs.min() else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"Search cost ({unit})")


def _plot_panel(axes: Axes, points: pd.DataFrame, unit: str, ours: list[str]) -> None:
    for label, members in points.groupby("label", sort=False):
        look = _look(label, ours) | {"linestyle": "", "capsize": 2, "elinewidth": 0.8, "label": label}
        axes.errorbar(members["cost"], members["error"], members["std"], **look)
    if points["method"].nunique() > 1:
        _name_methods(axes, points.dropna(subset="method"))
    _cost_axis(axes, points["cost"], unit)
    axes.set_ylabel("Test error (%), mean ± SD")


def _name_methods(axes: Axes, points: pd.DataFrame) -> None:
    """Names next to points: on the right, or on the left where another point is in the way."""
    # A name is about as wide as 30 % of the cost and as high as a fiftieth of the errors.
    near = (points["error"].max() - points["error"].min()) / 50
    for point in points.to_dict("records"):
        beside = points["cost"].between(point["cost"], 1.3 * point["cost"], inclusive="right")
        in_the_way = beside & ((points["error"] - point["error"]).abs() <= near)
        offset, side = ((-4, 1), "right") if in_the_way.any() else ((4, 1), "left")
        look: dict[str, Any] = {"textcoords": "offset points", "fontsize": SMALL, "ha": side, "zorder": 5}
        axes.annotate(point["method"], (point["cost"], point["error"]), offset, **look)


def plot_cost(inputs: list[Path]) -> Drawing:
    """Result files of retraining and of the searches behind it, and perhaps one published table (CSV).

    Error bars are one sample standard deviation over searches, each the mean of its trainings. Each panel has one
    data set and one unit of cost.

    Raises:
        UserError: nothing to show, a missing search, or a damaged file.
    """
    results = read_results(path for path in inputs if path.suffix != ".csv")
    tables = [_published_points(path) for path in inputs if path.suffix == ".csv"]
    points = pd.concat([_our_points(results), *tables])
    if points.empty:
        raise UserError("the figure cost needs retraining results with a search cost; give those of the searches too")
    # One panel per data set and unit; published results join ours on the same data.
    panels = points.groupby([points["data_set"].replace(_beside(points, results)), "unit"], sort=False)
    ours = list(points.query("source == 'ours'")["label"].unique())
    columns, rows = min(len(panels), 2), math.ceil(len(panels) / 2)
    width = 2 if points["method"].nunique() > 1 else columns
    figure = new_figure(SINGLE * width + 0.2 * (width - 1), 0.8 + 2.2 * rows)
    grid = [figure.add_subplot(rows, columns, i) for i in range(1, len(panels) + 1)]
    for axes, ((data_set, unit), members) in zip(grid, panels, strict=True):
        _plot_panel(axes, members, unit, ours)
        axes.set_title(f"{data_set}: {' and '.join(members['source'].map(SOURCES).unique())}")
    legend_below(figure, grid)
    return Drawing(figure, points)


MEBIBYTE = 2**20
LABELS = {"sequential": ", one architecture at a time"}
"""Suffix of a method's name by executor."""


def _read_depths(path: Path) -> pd.DataFrame:
    rows = read_document(path, "depths")["rows"]
    return pd.DataFrame(rows, columns=["method", "executor", "cells", "peak_bytes"])


def _label(method: str, executor: str) -> str:
    added = LABELS.get(executor, ", several architectures at once") if method == "parsec" else ""
    return METHODS.get(method, (method, ""))[0] + added


def plot_depths(inputs: list[Path]) -> Drawing:
    """Files of `depths` (JSON) → most bytes of tensors at once over the number of cells, both axes logarithmic.

    Raises:
        UserError: a file that is missing, damaged or empty.
    """
    rows = pd.concat([_read_depths(path) for path in inputs], ignore_index=True)
    figure = new_figure(DOUBLE, 3.0)
    axes = figure.add_subplot()
    for i, ((method, executor), line) in enumerate(rows.groupby(["method", "executor"], sort=False)):
        look = series(i).plot() | {"label": _label(str(method), str(executor))}
        axes.plot(line["cells"], line["peak_bytes"] / MEBIBYTE, **look)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(rows["cells"]))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("Cells of the network, or of a stage of NAS-Bench-201")
    axes.set_ylabel("Peak memory (MiB)")
    legend_below(figure, [axes])
    return Drawing(figure, rows)


GIBIBYTE = 2**30
STEP = "search step"


class Level(NamedTuple):
    """A horizontal line: what does not depend on K."""

    label: str
    colour: str
    dash: Dash


LEVELS = {
    "one child trained alone": Level("one architecture trained alone", BLACK, (0, (4, 2))),
    "DARTS supernet": Level("DARTS supernet", GREY, (0, (1, 1))),
}


def _plot_levels(axes: Axes, others: pd.DataFrame, column: str, unit: float = 1.0) -> None:
    for setting, value in zip(others["setting"], others[column], strict=True):
        level = LEVELS[setting]
        axes.axhline(value / unit, color=level.colour, linestyle=level.dash, linewidth=1.0, label=level.label)


def _plot_memory(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    largest = pd.concat([others, steps])["peak_bytes"].max()
    unit, name = (GIBIBYTE, "GiB") if largest >= GIBIBYTE else (MEBIBYTE, "MiB")
    for position, (executor, rows) in enumerate(steps.groupby("executor", sort=False)):
        label = f"search step, executor {executor}"
        axes.plot(rows["samples"], rows["peak_bytes"] / unit, label=label, **series(position).plot())
    _plot_levels(axes, others, "peak_bytes", unit)
    axes.set_ylabel(f"Peak memory ({name})")


def _plot_time(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    for position, (_, rows) in enumerate(steps.groupby("executor", sort=False)):
        spread = rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]
        axes.errorbar(rows["samples"], rows["seconds"], spread, capsize=2, **series(position).plot())
    _plot_levels(axes, others, "seconds")
    axes.set_ylabel("Seconds per step")


def _samples_axis(axes: Axes, samples: list[int]) -> None:
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(samples))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())
    axes.set_xlim(min(samples) / 1.3, max(samples) * 1.3)
    axes.set_xlabel("K, children per step")


def plot_executor(inputs: list[Path]) -> Drawing:
    """One executor.json → peak memory and seconds per step (median, bars from fastest to slowest) against K.

    Raises:
        UserError: not exactly one measurement, or a damaged one.
    """
    if len(inputs) != 1:
        raise UserError(f"the figure executor shows one measurement, got {len(inputs)}; give one executor.json")
    document = read_document(inputs[0], "measure")
    table = pd.DataFrame(document["rows"])
    table[["seconds_low", "seconds_high"]] = table["seconds_spread"].to_list()
    table = table[["setting", "executor", "samples", "seconds", "seconds_low", "seconds_high", "peak_bytes"]]
    by_samples = table.sort_values("samples", kind="stable")
    others, steps = by_samples[by_samples["setting"].isin(LEVELS)], by_samples[by_samples["setting"] == STEP]
    figure = new_figure(DOUBLE, 2.5)
    memory, time = figure.subplots(1, 2)
    _plot_memory(memory, others, steps)
    _plot_time(time, others, steps)
    for axes in (memory, time):
        from_zero([axes])
        _samples_axis(axes, sorted(table["samples"].unique()))
    network = document["network"]
    size = f"{network['cells']} cells × {network['channels']} channels, batch of {document['batch_size']}"
    device = "CPU" if document["device"] == "cpu" else document["device"]
    figure.suptitle(f"{device}, {size}", fontsize=8)
    legend_below(figure, [memory])
    return Drawing(figure, table)
