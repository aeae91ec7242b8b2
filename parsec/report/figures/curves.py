"""Figures over epochs by stage and method: entropy of π, sample size, accuracies, shares of the operations."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from parsec.errors import UserError
from parsec.report.figures.style import (
    DOUBLE,
    PRIMITIVES,
    Drawing,
    every,
    facets,
    from_zero,
    legend_below,
    name_axes,
    new_figure,
    panel_title,
    primitive_label,
    primitive_lines,
)
from parsec.report.inputs import KEYS, ORDER, TITLES, read_runs
from parsec.report.methods import BLACK, GREY, Method, described
from parsec.report.tables.base import listing
from parsec.report.tables.nasbench201 import LABELS
from parsec.tabular.nasbench201 import DATA

SEED: dict[str, Any] = {"marker": "", "linewidth": 0.5, "alpha": 0.45, "label": "_"}
"""Look of a single search where there are several."""
MANY = 20
"""Searches from which their range is drawn instead of a line for each."""


class Group(NamedTuple):
    """The searches of one method in one stage, which differ in their seeds only."""

    title: str
    method: Method
    runs: pd.DataFrame


def grouped(runs: pd.DataFrame) -> list[Group]:
    """Groups by stage, then method in the order of the registry; titles name what differs between groups."""
    methods = described(dict(zip(runs["method"], runs.get("base", runs["method"]), strict=True)))
    stages = list(dict.fromkeys(runs["panel"]))
    groups = []
    for stage in stages:
        for name, method in methods.items():
            members = runs[(runs["panel"] == stage) & (runs["method"] == name)]
            words = [stage] * (len(stages) > 1 or len(methods) == 1) + [method.name] * (len(methods) > 1)
            if len(members):
                groups.append(Group(": ".join(words), method, members))
    return groups


def learning(groups: Sequence[Group]) -> tuple[list[Group], str]:
    """The groups that learn a distribution, and a sentence that names the methods without one; all if none does."""
    kept = [group for group in groups if group.method.distribution]
    without = [group.method.name for group in groups if not group.method.distribution]
    if not kept or not without:
        return list(groups), ""
    return kept, f"{listing(without)}: no panel, because there is no π."


def number_range(numbers: Iterable[int]) -> str:
    """`3`, or `2 to 5`."""
    ordered = sorted(numbers)
    return str(ordered[0]) if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"


def count_text(groups: Sequence[Group]) -> str:
    """Number of searches per group: `n = 3`, or `n = 2 to 5`."""
    return f"n = {number_range(group.runs['seed'].nunique() for group in groups)}"


def seeds_note(groups: Sequence[Group]) -> str:
    """How many searches a panel shows, and how."""
    if count_text(groups) == "n = 1":
        return "One search per panel (n = 1)."
    most = max(group.runs["seed"].nunique() for group in groups)
    singles = "Bands: range of the searches" if most >= MANY else "Thin lines: single searches"
    return f"{singles}, {count_text(groups)} seeds; thick lines: their mean."


def plot_seeds(axes: Axes, runs: pd.DataFrame, column: str, look: Mapping[str, Any], factor: float = 1.0) -> None:
    """Every seed as a thin line, of `MANY` their range, and their mean over the epochs that all of them have."""
    seeds = factor * runs.pivot(index="epoch", columns="seed", values=column).astype(float)
    common = seeds.dropna()
    if len(seeds.columns) >= MANY:
        ends = common.min(axis=1), common.max(axis=1)
        axes.fill_between(common.index, *ends, color=look["color"], alpha=0.2, linewidth=0)
    for _, values in seeds.items() if 1 < len(seeds.columns) < MANY else ():
        axes.plot(values.dropna(), **{**look, **SEED})
    axes.plot(common.mean(axis=1), markevery=every(len(common), 4), **look)


def epoch_axis(axes: Axes) -> None:
    """Whole epochs on the horizontal axis; the margin shows markers at its ends whole."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.margins(x=0.03)


def uniform_entropy(runs: pd.DataFrame) -> dict[str, float]:
    """Entropy of a uniform π by method: that with which its searches start, or those of the method behind it.

    A method that only continues other searches' π, and none of whose kin is given, has no entry.
    """
    starts = runs[(runs["epoch"] == 0) & ~runs["continues"]]
    own, of_base = (starts.groupby(key)["entropy"].max().dropna().to_dict() for key in ("method", "base"))
    bases = dict(zip(runs["method"], runs["base"], strict=True))
    return {name: own.get(name, of_base.get(base)) for name, base in bases.items() if name in own or base in of_base}


METRICS = ["entropy", "samples", "ess_prior", "ess_weights"]
V_STEP: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "markerfacecolor": "white"}
BOUND: dict[str, Any] = {"color": GREY, "linewidth": 0.9, "linestyle": (0, (1, 1.5)), "zorder": 1}


def _plot_entropy(axes: Axes, group: Group, uniform: float | None) -> None:
    plot_seeds(axes, group.runs, "entropy", group.method.line.plot() | {"label": "_"})
    if uniform:
        axes.axhline(uniform, **BOUND)
        # Where the curves are not: most begin at the uniform π, those of a fine-tuning below.
        height = 0.06 if group.runs.groupby("seed")["entropy"].first().mean() > uniform / 2 else 0.78
        axes.text(0.04, height, f"uniform: {uniform:.1f}", transform=axes.transAxes, fontsize=7, color=GREY)
    epoch_axis(axes)
    panel_title(axes, group.title)


def _plot_sizes(axes: Axes, group: Group) -> None:
    look = group.method.line.plot() | {"label": "_"}
    largest = group.runs.dropna(subset="samples").groupby("epoch")["samples"].max()
    axes.plot(largest, **BOUND, marker="_" if len(largest) == 1 else "")
    plot_seeds(axes, group.runs, "ess_prior", look)
    plot_seeds(axes, group.runs, "ess_weights", look | V_STEP)
    panel_title(axes, group.title)
    epoch_axis(axes)


def _size_axis(block: Sequence[Axes]) -> None:
    """From 1 to K, with room beyond both for the lines that lie there."""
    axes = block[0]
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_locator(LogLocator(base=2))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(0.87, 1.15 * max(panel.dataLim.ymax for panel in block))


def plot_entropy(inputs: list[Path]) -> Drawing:
    """Run folders → entropy in nats above, effective sample size 1/Σω² below (mean of the epoch's steps)."""
    runs = read_runs(inputs)
    # Methods without samples have none of their sizes.
    runs = runs.reindex(columns=[*runs, *(name for name in METRICS if name not in runs)])
    groups, without = learning(grouped(runs))
    sampling = [group for group in groups if group.runs["ess_prior"].notna().any()]
    figure, blocks = facets([len(groups), *([len(sampling)] if sampling else [])], 1.35 if len(groups) < 4 else 1.05)
    uniform = uniform_entropy(runs)
    for axes, group in zip(blocks[0], groups, strict=True):
        _plot_entropy(axes, group, uniform.get(group.runs["method"].iloc[0]))
    for axes, group in zip(blocks[1] if sampling else [], sampling, strict=True):
        _plot_sizes(axes, group)
    from_zero(blocks[0])
    name_axes(blocks[0], "Entropy (nats)", "Epoch")
    if sampling:
        _size_axis(blocks[1])
        name_axes(blocks[1], "Effective\nsample size", "Epoch")
    figure.align_ylabels()

    blocks[0][0].add_line(Line2D([], [], **BOUND, label="maximum: uniform distribution, or K"))
    for look in ({"label": "step of π"}, V_STEP | {"label": "step of the weights v"}) if sampling else ():
        blocks[0][0].add_line(Line2D([], [], **{"color": BLACK, "marker": "o", **look}))
    scale = "Effective sample size: 1 to K, logarithmic, mean over the steps of an epoch. " if sampling else ""
    kinds = {group.method.distribution for group in groups} - {"π", ""}
    of = f"Entropy of π, in DARTS, SNAS and GDAS of the {listing(kinds)}. " if kinds else "Entropy of π. "
    legend_below(figure, blocks[0][:1], of + scale + seeds_note(groups) + f" {without}")
    return Drawing(figure, runs[[*KEYS, "epoch", *METRICS]])


UNIFORM: dict[str, Any] = {"color": GREY, "linewidth": 2.2, "alpha": 0.6, "solid_capstyle": "butt", "zorder": 3}
NEAR = 1e-6
"""Relative distance from the largest entropy up to which π counts as uniform; DARTS starts with such a noise."""


def _mark_uniform(axes: Axes, runs: pd.DataFrame, uniform: float) -> None:
    """Grey where π is uniform in all searches, so that its mode is an arbitrary architecture."""
    by_epoch = runs.groupby("epoch")
    flat = 100 * by_epoch["mode_accuracy"].mean()[by_epoch["entropy"].min() >= (1 - NEAR) * uniform]
    axes.plot(flat, **UNIFORM, marker="s" if len(flat) == 1 else "", markersize=3.5)


def plot_accuracy(inputs: list[Path]) -> Drawing:
    """Run folders → validation accuracy in percent, by shared weights, of what each search would have ended with."""
    runs = read_runs(inputs)
    groups, uniform = grouped(runs), uniform_entropy(runs)
    figure, (block,) = facets([len(groups)], 1.6 if len(groups) < 4 else 1.05)
    for axes, group in zip(block, groups, strict=True):
        plot_seeds(axes, group.runs, "mode_accuracy", group.method.line.plot() | {"label": "_"}, factor=100.0)
        highest = uniform.get(group.runs["method"].iloc[0])
        if highest and group.method.distribution:
            _mark_uniform(axes, group.runs, highest)
        panel_title(axes, group.title)
        epoch_axis(axes)
    from_zero(block)
    name_axes(block, "Validation\naccuracy (%)", "Epoch")
    block[0].add_line(Line2D([], [], **UNIFORM, label="uniform distribution: its mode is an arbitrary architecture"))
    note = "Of the architecture with which the search would end, evaluated with the search's own weights. "
    several = "The weights differ, so accuracies of different methods are not comparable. "
    apart = several if len({group.method.name for group in groups}) > 1 else ""
    legend_below(figure, block[:1], note + apart + seeds_note(groups))
    return Drawing(figure, runs[[*KEYS, "epoch", "mode_accuracy"]])


NAMES = {"normal": "Normal cell", "reduce": "Reduction cell", "cell": "Cell"}


def _shares(runs: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Expected share of every primitive in the slots of a cell, one row per run, epoch and primitive."""
    counts = pd.DataFrame([operations[cell] for operations in runs["operations"]])
    shares = counts.div(counts.sum(axis=1), axis=0)
    keys = runs[[*KEYS, "panel", "base", "epoch"]].assign(cell=cell)
    shares.index = pd.MultiIndex.from_frame(keys)
    return shares.rename_axis(columns="primitive").stack().rename("share").reset_index()


def _plot_shares(axes: Axes, shares: pd.DataFrame) -> None:
    """Means over seeds, stacked from skip connections upwards, at the epochs that all seeds have."""
    seeds = shares.pivot(index="epoch", columns=["primitive", "seed"], values="share").astype(float)
    # Spaces differ in their primitives; a form without `none` has no column of it.
    means = 100 * seeds.dropna(axis=1, how="all").dropna().T.groupby(level="primitive").mean().T
    names = [name for name in dict.fromkeys([*PRIMITIVES, *shares["primitive"]]) if name in means]
    colours = [line.colour for line in primitive_lines(names).values()]
    labels = [primitive_label(name) for name in names]
    axes.stackplot(means.index, means[names].T, colors=colours, labels=labels, edgecolor="white", linewidth=0.4)
    epoch_axis(axes)
    axes.set_yticks([0, 50, 100])
    axes.set_ylim(0, 101)
    axes.grid(False)


def _operations_note(groups: list[Group], cells: tuple[str, ...], without: str) -> str:
    """What the shares are, of how many searches, and which methods have none."""
    kinds = listing(group.method.distribution or "π" for group in groups)
    names = [NAMES[cell].split()[0].lower() for cell in cells]
    rows = f"Above: {' cells, below: '.join(names)} cells. " if len(cells) > 1 else ""
    shares = f"Expected share of each operation under {kinds}, mean over searches ({count_text(groups)})"
    return f"{rows}{shares}, from below in this order. {without}"


def plot_operations(inputs: list[Path]) -> Drawing:
    """Run folders → share in percent of each primitive in the slots (or edges) of a cell, expected under π.

    A collapse to skip connections shows as a black area. Every method has panels of its own, because a collapse of one
    must not be hidden in a mean over all.
    """
    runs = read_runs(inputs).dropna(subset="operations")
    spaces = {tuple(operations) for operations in runs["operations"]}
    if len(spaces) != 1:
        raise UserError("the figure operations shows runs on one search space; draw each space separately")
    # The cells that are searched, in the order in which they were recorded.
    cells = spaces.pop()
    shares = pd.concat([_shares(runs, cell) for cell in cells])
    groups, without = learning(grouped(runs))
    figure, blocks = facets([len(groups)] * len(cells), 1.5 if len(groups) < 4 else 0.95)
    for cell, block in zip(cells, blocks, strict=True):
        of_cell = shares[shares["cell"] == cell]
        for axes, group in zip(block, groups, strict=True):
            members = of_cell.merge(group.runs[[*KEYS, "epoch"]], on=[*KEYS, "epoch"])
            _plot_shares(axes, members)
            panel_title(axes, group.title)
        name_axes(block, f"{NAMES[cell]}\n(% of slots)", "Epoch")
    legend_below(figure, blocks[0], _operations_note(groups, cells, without))
    numbers = shares.sort_values([*ORDER, "cell", "epoch"], kind="stable")
    return Drawing(figure, numbers[[*KEYS, "epoch", "cell", "primitive", "share"]])


EXPECTED: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "marker": "", "linewidth": 0.9}
UNSETTLED: dict[str, Any] = {"color": GREY, "alpha": 0.15, "linewidth": 0}


def read_epochs(path: Path) -> pd.DataFrame:
    """Rows of every epoch that `lookup` wrote, with the method `base` behind each where it is recorded.

    Raises:
        UserError: the file is missing, damaged or another one.
    """
    measured = [f"{kind}_{data}" for kind in ("test", "expected") for data in DATA]
    columns = [*KEYS, "epoch", "forward_images", "seconds", *measured]
    try:
        rows = pd.read_parquet(path)
        return rows[columns].assign(base=rows.get("base", rows["method"]))
    except (OSError, KeyError, pa.ArrowException) as error:
        raise UserError(f"{path}: not the Parquet file that `parsec lookup` writes; run it again") from error


def _plot_found_panel(axes: Axes, group: Group, data: str) -> None:
    look = group.method.line.plot() | {"label": "_"}
    plot_seeds(axes, group.runs, f"test_{data}", look | {"linestyle": "-"})
    expected = group.runs.pivot(index="epoch", columns="seed", values=f"expected_{data}").mean(axis=1)
    axes.plot(expected, **{**look, **EXPECTED})
    # Before the first selection nothing speaks for any architecture.
    selected = group.runs.dropna(subset=f"test_{data}")["epoch"]
    if len(selected) and selected.min() > 1:
        axes.axvspan(0, selected.min(), **UNSETTLED)
    epoch_axis(axes)


def plot_found(inputs: list[Path]) -> Drawing:
    """Parquet files of `lookup` → test accuracy in percent, one row per stage and method, one column per data set."""
    rows = pd.concat([read_epochs(path) for path in inputs], ignore_index=True)
    groups = grouped(rows.assign(panel=[TITLES[stage] for stage in rows["stage"]]))
    figure = new_figure(DOUBLE, 0.4 + (1.5 if len(groups) < 4 else 1.05) * len(groups))
    grid = figure.subplots(len(groups), len(DATA), squeeze=False, sharey="col")
    for panels, group in zip(grid, groups, strict=True):
        for axes, data in zip(panels, DATA, strict=True):
            _plot_found_panel(axes, group, data)
        name = group.title.replace(" (", "\n(").replace(", ", ",\n").replace(": ", ":\n")
        panels[0].set_ylabel(f"{name}\ntest acc. (%)")
    for axes, data in zip(grid[0], DATA, strict=True):
        axes.set_title(LABELS[data])
    for axes in grid[-1]:
        axes.set_xlabel("Epoch")
    figure.align_ylabels(grid[:, 0])
    looks: list[dict[str, Any]] = [
        {"marker": "o", "label": f"selected architecture, mean of {count_text(groups)} searches"},
        {**SEED, "label": "selected architecture, one search"},
        {**EXPECTED, "label": "expectation over all architectures under π"},
        {"color": GREY, "alpha": 0.3, "linewidth": 6, "label": "no selection: π has no unique mode"},
    ]
    for look in looks:
        grid[0, 0].add_line(Line2D([], [], **{"color": BLACK, **look}))
    legend_below(figure, [grid[0, 0]])
    return Drawing(figure, rows.drop(columns="base"))
