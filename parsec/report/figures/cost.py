"""Figure: test error against search cost, ours and published."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report.figures.curves import number_range
from parsec.report.figures.style import DOUBLE, Drawing, Label, legend_below, new_figure, place_labels
from parsec.report.inputs import (
    CPU_HOURS,
    GPU_DAYS,
    TITLES,
    Result,
    base_method,
    protocol,
    published_rows,
)
from parsec.report.methods import GREY, Line, Method, described
from parsec.report.tables.accuracy import Row, our_rows, same_data, stand_ins
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
STAGES = {"search": "", "finetune": ", fine-tuned", "transfer": ", transferred"}
"""What follows the name of a method where results come from several stages."""

COLUMNS = ["source", "label", "method", "architecture", "data_set", "cost", "unit", "error", "std", "n"]
"""One row an architecture: cost in `unit`, error and its standard deviation in percent, over `n` searches."""


def _our_point(row: Row, data_set: str) -> tuple[Any, ...]:
    unit = GPU_DAYS if GPU_DAYS in row.cost else CPU_HOURS
    label = f"ours, {TITLES[row.origin].lower()}"
    extra = "".join(f" (+ {significant(v, 2)} {name})" for name, v in row.cost.items() if name != unit)
    point = (row.cost[unit], unit, row.top1.mean, row.top1.std, len(row.runs_by_seed))
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


def _look(label: str, method: Method | None) -> dict[str, Any]:
    if method:
        return method.line.plot() | {"markersize": 6, "zorder": 4}
    if label == PAPER:
        return Line("black", "", "*").plot() | {"markersize": 8, "zorder": 3}
    marker = FAMILIES.get(label.removeprefix("published, "), OTHER)
    return Line(GREY, "", marker).plot() | {"markersize": 4, "markerfacecolor": "none", "zorder": 2}


def _cost_axis(axes: Axes, costs: "pd.Series[float]", unit: str) -> None:
    axes.set_xscale("log")
    axes.set_xlim(costs.min() / 2.5, costs.max() * 2.5)
    steps = (1.0, 2.0, 5.0) if costs.max() < 20 * costs.min() else (1.0,)
    axes.xaxis.set_major_locator(LogLocator(subs=steps, numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 1)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(f"Search cost ({unit})")


FEW = 6
"""Our points up to which all have a bar; of more, PARSEC, random search and the best, so that bars hide no points."""


def _without_bars(points: pd.DataFrame) -> pd.Series:
    """Our points that have no bar."""
    ours = points["source"] == "ours"
    kept = points["method"].isin(["parsec", "random"]) | (points["error"] == points["error"][ours].min())
    return ours & ~kept & (ours.sum() > FEW)


def _plot_panel(axes: Axes, points: pd.DataFrame, unit: str, methods: dict[str, Method]) -> None:
    """Points with their standard deviation where there is one; published ones in grey, a marker per kind of method."""
    for point in points.to_dict("records"):
        method = methods.get(point["method"])
        look = _look(point["label"], method) | {"linestyle": "", "capsize": 2, "elinewidth": 0.8}
        spread, label = point["std"] if point["std"] > 0 else None, "_" if method else point["label"]
        axes.errorbar(point["cost"], point["error"], spread, **look, label=label)
    _cost_axis(axes, points["cost"], unit)
    # Room for names above and below.
    axes.margins(y=0.15)
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axes.set_ylabel("Test error (%), mean ± std" if points["std"].notna().any() else "Test error (%)")


SHORTER = {
    r" \[cost[^]]*\]| \+ cutout| constraint| in DARTS setup|, DARTS selection protocol| \(different space\)": "",
    r"^PARSEC \((\S+)[^)]*\)": r"PARSEC (published, \1)",
    "first order": "1st",
    "second order": "2nd",
    "Random search": "Random",
    " \\+ ": ", ",
}
"""Patterns in the names of published rows, and what a label has instead."""


def _names(points: pd.DataFrame, methods: dict[str, Method]) -> list[Label]:
    """The name of every point: ours in the colour of their method, with their stage where there are several."""
    several, labels = points["label"].nunique() > 1 and points["method"].notna().any(), []
    stages = {f"ours, {TITLES[stage].lower()}": words for stage, words in STAGES.items()}
    # Ours and the paper's first, so that they get the best places.
    ranks = points["source"].ne("ours") * (1 + points["label"].ne(PAPER))
    for point in points.assign(rank=ranks).sort_values(["rank", "error"]).to_dict("records"):
        method = methods.get(point["method"])
        name, colour = point["architecture"], "black" if point["label"] == PAPER else "#444444"
        if method:
            name = method.name + (stages.get(point["label"].split(" (+")[0], "") if several else "")
            colour = method.line.colour
        for pattern, shorter in {} if method else SHORTER.items():
            name = re.sub(pattern, shorter, name)
        labels.append(
            Label(point["cost"], point["error"], name, colour, *[point["std"] if point["std"] > 0 else 0.0] * 2)
        )
    return labels


def _note(points: pd.DataFrame) -> str:
    """Over how many searches our points are means, and what their bars are."""
    ours = points[points["source"] == "ours"]
    if ours.empty:
        return "Bars: ± one standard deviation where it was published."
    note = f"This run: n = {number_range(ours['n'].astype(int))} searches per method, each the mean of its trainings"
    which = " of PARSEC, random search and the best" if _without_bars(points).any() else ""
    return note + (f"; bars: ± one sample standard deviation{which}." if points["std"].notna().any() else ".")


MANY = 15
"""Points above which names are smaller."""


def _height(points: int) -> float:
    """Inches that a panel needs for the names of its points."""
    return min(1.5 + 0.09 * points, 4.2)


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
    methods = described({result["method"]: base_method(result) for result in results if result["kind"] == "search"})
    # One panel per data set and unit; published results join ours on the same data.
    panels = list(points.groupby([points["data_set"].replace(_beside(points, results)), "unit"], sort=False))
    sizes = [len(members) for _, members in panels]
    figure = new_figure(DOUBLE, 0.3 + sum(map(_height, sizes)))
    grid = figure.subplots(len(sizes), 1, squeeze=False, height_ratios=list(map(_height, sizes)))[:, 0]
    names = []
    for axes, ((data_set, unit), members) in zip(grid, panels, strict=True):
        drawn = members.assign(std=members["std"].mask(_without_bars(members)))
        _plot_panel(axes, drawn, unit, methods)
        names.append(_names(drawn, methods))
        axes.set_title(f"{data_set}: {' and '.join(members['source'].map(SOURCES).unique())}")
    legend_below(figure, grid, _note(points))
    for axes, labels in zip(grid, names, strict=True):
        place_labels(axes, labels, 6 if len(labels) > MANY else 7)
    return Drawing(figure, points)
