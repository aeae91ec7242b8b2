"""Figures of accuracy over search cost: of retrained architectures, with shared weights, and on NAS-Bench-201."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parsec.config.base import PUBLISHED
from parsec.records.documents import read_results
from parsec.report.figures.cost import FEW, STAGES, log_axis
from parsec.report.figures.curves import Group, count_text, grouped, number_range, plot_seeds, read_epochs, seeds_note
from parsec.report.figures.style import (
    DOUBLE,
    Drawing,
    Label,
    every,
    facets,
    from_zero,
    legend_below,
    name_axes,
    new_figure,
    panel_title,
    place_labels,
)
from parsec.report.inputs import KEYS, TITLES, read_runs, run_folder
from parsec.report.methods import Method, described
from parsec.report.tables.comparison import read_compared
from parsec.report.tables.nasbench201 import LABELS
from parsec.tabular.nasbench201 import DATA

SPENT = {
    "forward_images": (1e-3, "Images through sampled architectures (thousands)"),
    "elapsed": (1.0, "Device time (s)"),
}
"""Columns of the horizontal axes, with the factor and the name of what is drawn."""
BAND = 0.15


def _searches(paths: Iterable[Path]) -> pd.DataFrame:
    """Epochs of the searches, with what they had spent by then."""
    runs = read_runs(paths)
    # Epoch 0 has no training time.
    elapsed = runs["seconds"].fillna(0.0).groupby([runs[key] for key in KEYS], sort=False, observed=True).cumsum()
    return runs.assign(elapsed=elapsed, accuracy=100 * runs["mode_accuracy"])


def _with_bars(rows: pd.DataFrame) -> set[str]:
    """The methods whose range is drawn."""
    medians = rows.groupby("method")["top1_error"].median()
    return set(medians.index) if len(medians) <= FEW else {"parsec", "random", str(medians.idxmin())}


def _plot_points(axes: Axes, rows: pd.DataFrame, spent: str, methods: dict[str, Method]) -> list[Label]:
    """Median over seeds, of some with the range and a small dot for every search. Returns the names."""
    factor, name = SPENT[spent]
    several, barred, labels = rows["stage"].nunique() > 1, _with_bars(rows), []
    for (stage, method), members in rows.groupby(["stage", "method"], sort=False):
        line, x, y = methods[method].line, factor * members[spent], members["top1_error"]
        low, high = (y.median() - y.min(), y.max() - y.median()) if method in barred else (0.0, 0.0)
        look: dict[str, Any] = line.plot() | {"linestyle": "", "markersize": 5, "elinewidth": 0.8, "zorder": 4}
        axes.errorbar(x.median(), y.median(), [[low], [high]] if method in barred else None, **look)
        if method in barred:
            axes.plot([x.median()] * len(y), y, ".", color=line.colour, markersize=3)
        label = methods[method].name + (STAGES[stage] if several else "")
        labels.append(Label(x.median(), y.median(), label, line.colour, low, high))
    log_axis(axes, rows[spent].max() / rows[spent].min() < 50)
    axes.margins(x=0.2, y=0.15)
    axes.set_xlabel(f"Search cost: {name[0].lower()}{name[1:]}")
    return labels


def _plot_retrained(rows: pd.DataFrame) -> Figure:
    methods = described(dict(zip(rows["method"], rows["base"], strict=True)))
    outcomes = rows["outcome"].unique()
    # Images compare only between searches of one stage, whose networks are equal; at one budget of them the axis shows
    # nothing, because all methods have about the same cost.
    several = rows["stage"].nunique() > 1
    axes_of = ["elapsed"] if several else [s for s in SPENT if rows[s].max() > 2 * rows[s].min()] or ["elapsed"]
    height = 2.2 + 0.07 * len(methods)
    figure = new_figure(DOUBLE, 0.3 + height * len(outcomes) * len(axes_of))
    grid = figure.subplots(len(outcomes) * len(axes_of), 1, squeeze=False)[:, 0]
    panels = [(outcome, spent) for outcome in outcomes for spent in axes_of]
    names = []
    for axes, (outcome, spent) in zip(grid, panels, strict=True):
        names.append(_plot_points(axes, rows[rows["outcome"] == outcome], spent, methods))
        axes.set_ylabel("Test error (%)")
        axes.set_title(f"{outcome}: selected architectures, trained from scratch")
    counts = number_range(rows.groupby(["outcome", "stage", "method"])["seed"].nunique())
    which = "" if len(methods) <= FEW else " of PARSEC, random search and the lowest median"
    note = f"Median of n = {counts} searches per method, each the mean of its trainings; bars: range{which}; dots: "
    note += "single searches, at the median cost."
    low, high = (f"{value / 1000:.0f}" for value in (rows["forward_images"].min(), rows["forward_images"].max()))
    budget = f" Budget: {low} to {high} thousand images per search." if "forward_images" not in axes_of else ""
    legend_below(figure, [], note + ("" if several else budget))
    for axes, labels in zip(grid, names, strict=True):
        place_labels(axes, labels)
    return figure


def _plot_shared(runs: pd.DataFrame) -> Figure:
    """A panel per method: accuracies with a search's own weights compare within the method only."""
    groups = grouped(runs)
    figure, (block,) = facets([len(groups)], 1.6 if len(groups) < 4 else 1.1)
    for axes, group in zip(block, groups, strict=True):
        seeds = group.runs[group.runs["epoch"] > 0]
        cost = (SPENT["forward_images"][0] * seeds.groupby("epoch")["forward_images"].mean()).to_dict()
        plot_seeds(axes, seeds.assign(epoch=seeds["epoch"].map(cost)), "accuracy", group.method.line.plot())
        log_axis(axes, max(cost.values()) / min(cost.values()) < 50)
        panel_title(axes, group.title)
    from_zero(block)
    name_axes(block, "Validation\naccuracy (%)", "Images (thousands)")
    figure.suptitle("Accuracy with the weights of the search itself: not comparable between methods", fontsize=8)
    note = "Over images through sampled architectures, of the architecture with which the search would end. "
    legend_below(figure, [], note + seeds_note(groups))
    return figure


def plot_spending(inputs: list[Path]) -> Drawing:
    """Run folders, and perhaps results of retraining → what a search gives for its cost.

    With results of retraining: test error in percent of the selected architectures, over the cost of their searches.
    Without: validation accuracy in percent, with the weights of the search itself, a panel per method.
    """
    # A fit of π to scores has a document of its own name.
    documents = (path if path.name == "fit.json" else run_folder(path) / "result.json" for path in inputs)
    paths = list(dict.fromkeys(documents))
    results = read_results(paths)
    runs = _searches(path for path, result in zip(paths, results, strict=True) if result["kind"] == "search")
    shown = [*KEYS, "epoch", *SPENT, "accuracy"]
    if not any(result["kind"] == "retrain" and result["origin"] != PUBLISHED for result in results):
        runs = runs[runs["stage"] == "search"].sort_values(["method", "seed", "epoch"], ignore_index=True)
        return Drawing(_plot_shared(runs), runs[shown])
    runs = runs.sort_values(["stage", "method", "seed", "epoch"], ignore_index=True)[shown]
    retrained = read_compared(paths).rename(columns={"seconds": "elapsed"})
    return Drawing(_plot_retrained(retrained), _with_errors(runs, retrained))


def _with_errors(runs: pd.DataFrame, retrained: pd.DataFrame) -> pd.DataFrame:
    """Test errors and costs of the whole lineage in the row of a search's last epoch, which they belong to."""
    search = ["stage", "method", "seed"]
    errors = retrained.pivot(index=search, columns="outcome", values="top1_error").add_prefix("test_error_")
    costs = retrained.drop_duplicates(search).set_index(search)[[*SPENT]].add_prefix("lineage_")
    ends = runs.groupby(search, observed=True)["epoch"].max().to_frame().join(errors.join(costs)).reset_index()
    return runs.merge(ends, how="left", on=[*search, "epoch"])


OTHERS: dict[str, Any] = {"color": "#C4C4C4", "linewidth": 0.5, "zorder": 1}
"""Look of the other methods in the panel of one."""


def _curves(group: Group, value: str) -> pd.DataFrame:
    """Median, least and greatest accuracy over seeds, where all have one, by mean cost in thousands of images."""
    seeds = group.runs.pivot(index="epoch", columns="seed", values=["forward_images", value]).dropna().astype(float)
    cost, reached = SPENT["forward_images"][0] * seeds["forward_images"].mean(axis=1), seeds[value]
    ends = {"median": reached.median(axis=1), "low": reached.min(axis=1), "high": reached.max(axis=1)}
    return pd.DataFrame(ends).set_index(cost)[lambda rows: rows.index > 0]


def plot_found_spending(inputs: list[Path]) -> Drawing:
    """Parquet files of `lookup` → true accuracy in percent of what a search would have ended with, over its cost."""
    rows = pd.concat([read_epochs(path) for path in inputs], ignore_index=True)
    rows = rows[rows["stage"] == "search"].rename(columns={"seconds": "elapsed"})
    groups = grouped(rows.assign(panel=TITLES["search"]))
    figure, blocks = facets([len(groups)] * len(DATA), 1.1, columns=4)
    for block, data in zip(blocks, DATA, strict=True):
        curves = [_curves(group, f"test_{data}") for group in groups]
        for axes, group, curve in zip(block, groups, curves, strict=True):
            for other in curves:
                axes.plot(other["median"], **OTHERS)
            axes.plot(curve["median"], markevery=every(len(curve), 4), **group.method.line.plot())
            axes.fill_between(
                curve.index, curve["low"], curve["high"], color=group.method.line.colour, alpha=BAND, lw=0
            )
            costs = [cost for each in curves for cost in each.index]
            log_axis(axes, max(costs) / min(costs) < 50)
            panel_title(axes, group.title)
        # What the first arbitrary architectures reach would take most of the height.
        medians = pd.concat([curve["median"] for curve in curves])
        low, high = medians.quantile(0.03), max(curve["high"].max() for curve in curves)
        block[0].set_ylim(low - 0.1 * (high - low), high + 0.1 * (high - low))
        name_axes(block, f"{LABELS[data]}\ntest acc. (%)", "Images (thousands)")
    spent = rows.groupby("method")["elapsed"].max()
    note = f"Images through sampled architectures; the searches took {number_range(spent.astype(int))} s. Line: median "
    note += f"of {count_text(groups)} searches from where all select an architecture on; band: range; "
    note += "grey: other methods."
    legend_below(figure, [], note)
    return Drawing(figure, rows[[*KEYS, "epoch", *SPENT, *(f"test_{data}" for data in DATA)]])
