"""Figures on costs: test error against search cost, and memory and time of search steps."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import (
    FixedLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
    ScalarFormatter,
)

from parsec.errors import UserError
from parsec.records.documents import read_document, read_results
from parsec.report.figures.curves import number_range
from parsec.report.figures.style import DOUBLE, Drawing, Label, from_zero, legend_below, new_figure, place_labels
from parsec.report.inputs import CPU_HOURS, GPU_DAYS, TITLES, Result, base_method, protocol, published_rows
from parsec.report.methods import BLACK, GREY, Line, Method, described
from parsec.report.tables.accuracy import our_rows, same_data, stand_ins
from parsec.report.tables.base import significant

FAMILIES = {"gradient-based": "o", "evolution": "^", "RL": "s", "random": "x"}
"""Markers of published results by kind of search; all others have `OTHER`."""
OTHER = "D"
PAPER = "PARSEC, published"
SOURCES = {"ours": "this run", "published": "published"}
STAGES = {"search": "", "finetune": ", fine-tuned", "transfer": ", transferred"}
"""What follows the name of a method where results come from several stages."""

COLUMNS = ["source", "label", "method", "architecture", "data_set", "cost", "unit", "error", "std", "n"]
"""One row per architecture: cost in `unit`, error and its standard deviation in percent, over `n` searches."""


def _our_points(results: list[Result]) -> pd.DataFrame:
    data_sets, points = dict.fromkeys(r["dataset"] for r in results if r["kind"] == "retrain"), []
    for data_set, row in ((name, row) for name in data_sets for row in our_rows(results, name)):
        if any(row.cost.values()):
            unit = GPU_DAYS if GPU_DAYS in row.cost else CPU_HOURS
            extra = "".join(f" (+ {significant(v, 2)} {name})" for name, v in row.cost.items() if name != unit)
            named = ("ours", f"ours, {TITLES[row.origin].lower()}{extra}", row.method, row.architecture, data_set)
            points.append((*named, row.cost[unit], unit, row.top1.mean, row.top1.std, len(row.runs_by_seed)))
    return pd.DataFrame(points, columns=COLUMNS).astype({"std": float})


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


def log_axis(axes: Axes, narrow: bool, ticks: int = 10) -> None:
    """A logarithmic axis of costs: powers of ten, and 2 and 5 between them where it is narrow."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if narrow else (1.0,), numticks=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: significant(value, 4)))
    axes.xaxis.set_minor_formatter(NullFormatter())


FEW = 6
"""Methods up to which all have a bar; of more, PARSEC, random search and the best, so that bars hide no points."""


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
    costs = points["cost"]
    log_axis(axes, costs.max() < 20 * costs.min(), ticks=12)
    axes.set_xlim(costs.min() / 2.5, costs.max() * 2.5)
    axes.set_xlabel(f"Search cost ({unit})")
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
        spread = point["std"] if point["std"] > 0 else 0.0
        labels.append(Label(point["cost"], point["error"], name, colour, spread, spread))
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


MEBIBYTE = 2**20
DEPTHS = {"darts": "Cells of the network", "nasbench201": "Cells per stage (the network has three stages)"}
"""Horizontal axis by search space."""


def _read_depths(path: Path) -> tuple[pd.DataFrame, set[str]]:
    """Measured rows, and the search spaces that they are of."""
    document = read_document(path, "depths")
    rows = pd.DataFrame(document["rows"], columns=["method", "executor", "cells", "peak_bytes"])
    methods = document["provenance"]["settings"].get("methods", [])
    return rows, {settings["space"] for settings in methods if isinstance(settings, dict) and "space" in settings}


def plot_depths(inputs: list[Path]) -> Drawing:
    """Files of `depths` (JSON) → most bytes of tensors at once over the number of cells, both axes logarithmic."""
    read = [_read_depths(path) for path in inputs]
    rows, spaces = pd.concat([rows for rows, _ in read], ignore_index=True), set().union(*(s for _, s in read))
    figure = new_figure(DOUBLE, 2.8)
    axes = figure.add_subplot()
    measured = list(rows.groupby(["method", "executor"], sort=False))
    methods = described(dict.fromkeys(rows["method"]))
    # Open markers, the first ones largest, show lines that lie on one another.
    for i, name in enumerate(methods):
        for (_, executor), line in (each for each in measured if each[0][0] == name):
            look = methods[name].line.plot() | {"markersize": 8 - 0.7 * i, "markerfacecolor": "none"}
            label = methods[name].name
            if name == "parsec":
                at_once = executor != "sequential"
                label += ", K architectures at once" if at_once else ", one architecture at a time"
                look |= {"linestyle": (0, (4, 1.5)), "marker": "*", "markersize": 10} if at_once else {}
            axes.plot(line["cells"], line["peak_bytes"] / MEBIBYTE, **look, label=label)
    _measured_axis(axes, rows["cells"])
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(DEPTHS.get(next(iter(spaces)), "Cells") if len(spaces) == 1 else "Cells")
    axes.set_ylabel("Peak memory (MiB)")
    legend_below(figure, [axes], "One measurement per point; both axes are logarithmic.")
    return Drawing(figure, rows)


GIBIBYTE = 2**30
STEP = "search step"

LEVELS: dict[str, dict[str, Any]] = {
    "one child trained alone": {"label": "training step of one architecture", "color": BLACK, "linestyle": (0, (4, 2))},
    "DARTS supernet": {"label": "step of the DARTS supernet", "color": GREY, "linestyle": (0, (1, 1))},
}
"""Horizontal lines by setting: what does not depend on K."""
EXECUTORS = {
    "sequential": "K architectures one after another",
    "grouped": "K architectures at once, grouped convolutions",
    "fused": "K architectures at once, fused kernels",
}
"""Executors in words."""
LINES = [method.line for method in described({"parsec": None, **dict.fromkeys(EXECUTORS, "parsec")}).values()]
"""Lines of the executors: all run PARSEC's step, so all have its colour."""


def _plot_levels(axes: Axes, others: pd.DataFrame, column: str, unit: float = 1.0) -> None:
    for setting, value in zip(others["setting"], others[column], strict=True):
        axes.axhline(value / unit, **LEVELS[setting], linewidth=1.0)


def _plot_memory(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    largest = pd.concat([others, steps])["peak_bytes"].max()
    unit, name = (GIBIBYTE, "GiB") if largest >= GIBIBYTE else (MEBIBYTE, "MiB")
    for position, (executor, rows) in enumerate(steps.groupby("executor", sort=False)):
        label = EXECUTORS.get(str(executor), str(executor))
        axes.plot(rows["samples"], rows["peak_bytes"] / unit, label=label, **LINES[position].plot())
    _plot_levels(axes, others, "peak_bytes", unit)
    axes.set_ylabel(f"Peak memory ({name})")


def _plot_time(axes: Axes, others: pd.DataFrame, steps: pd.DataFrame) -> None:
    for position, (_, rows) in enumerate(steps.groupby("executor", sort=False)):
        spread = rows["seconds"] - rows["seconds_low"], rows["seconds_high"] - rows["seconds"]
        axes.errorbar(rows["samples"], rows["seconds"], spread, capsize=2, **LINES[position].plot())
    _plot_levels(axes, others, "seconds")
    axes.set_ylabel("Time per step (s)")


def _measured_axis(axes: Axes, measured: Iterable[int], base: int = 10) -> None:
    """A logarithmic horizontal axis that names just the numbers that were measured."""
    axes.set_xscale("log", base=base)
    axes.xaxis.set_major_locator(FixedLocator(sorted(set(measured))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())


def plot_executor(inputs: list[Path]) -> Drawing:
    """One executor.json → peak memory and seconds per step (median, bars from fastest to slowest) against K."""
    if len(inputs) != 1:
        raise UserError(f"the figure executor shows one measurement, got {len(inputs)}; give one executor.json")
    document = read_document(inputs[0], "measure")
    table = pd.DataFrame(document["rows"])
    table[["seconds_low", "seconds_high"]] = table["seconds_spread"].to_list()
    table = table[["setting", "executor", "samples", "seconds", "seconds_low", "seconds_high", "peak_bytes"]]
    by_samples = table.sort_values("samples", kind="stable")
    others, steps = by_samples[by_samples["setting"].isin(LEVELS)], by_samples[by_samples["setting"] == STEP]
    figure = new_figure(DOUBLE, 2.2)
    memory, time = figure.subplots(1, 2)
    _plot_memory(memory, others, steps)
    _plot_time(time, others, steps)
    for axes in (memory, time):
        from_zero([axes])
        _measured_axis(axes, table["samples"], base=2)
        axes.set_xlim(table["samples"].min() / 1.3, table["samples"].max() * 1.3)
        axes.set_xlabel("K, sampled architectures per step")
    network = document["network"]
    size = f"{network['cells']} cells × {network['channels']} channels, batch of {document['batch_size']}"
    device = "CPU" if document["device"] == "cpu" else document["device"]
    figure.suptitle(f"{device}, {size}", fontsize=8)
    repeats = document["provenance"]["settings"].get("measure", {}).get("repeats")
    count = f"n = {repeats} repeated steps" if repeats else "repeated steps"
    note = f"Search step with {count}: median time, bars from the fastest to the slowest."
    legend_below(figure, [memory], note)
    return Drawing(figure, table)
