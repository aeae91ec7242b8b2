"""Figures on NASWOT: ablation, cost of simulated searches, kernel matrices, scores against accuracy."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.ticker import FuncFormatter

from parsec.errors import UserError
from parsec.records.parquet import ABLATION_FILE, KERNELS_FILE
from parsec.report.figures.curves import number_range
from parsec.report.figures.style import DOUBLE, Drawing, every, legend_below, new_figure, series
from parsec.report.methods import BLUE, GREY
from parsec.report.methods import METHODS as LOOKS
from parsec.report.tables.nasbench201 import LABELS
from parsec.report.tables.naswot import KINDS, ScoreFile, correlation, read_inputs, read_score_file, score_matrix
from parsec.report.tables.naswot_search import METHODS, SimulationRuns, incumbents, read_simulation_runs, replay
from parsec.stats import summarise
from parsec.tabular.nasbench201 import DATA, ReportColumns, read_report_columns

PANELS = {
    "Minibatches": ("images",),
    "Noise for images": ("noise",),
    "Initialisations": tuple(f"weights-{i}" for i in ("default", "normal", "uniform", "orthogonal", "identity")),
    "Batch sizes": ("batch-32", "batch-64", "images", "batch-256"),
}
"""Conditions of each panel; conditions of other names get a panel of their own."""
NAMES = {"images": "128"}
"""Labels of conditions within their panels."""


def plot_ablation(inputs: list[Path]) -> Drawing:
    """The benchmark's table and one ablation.parquet: mean and range over repeats for every network.

    Scores have the lowest mean of the condition's networks taken away, because they grow with the size of the batch.
    """
    if len(inputs) != 2:
        raise UserError("naswot-ablation: give the benchmark's table, then one ablation.parquet")
    accuracies = read_report_columns(inputs[0]).test["cifar10"]
    rows, _ = ABLATION_FILE.read(inputs[1])
    spreads = [_spread(name, group) for name, group in rows.groupby("condition", sort=False)]
    data = pd.concat(spreads).assign(accuracy=lambda frame: accuracies[frame["index"]])
    # Of all networks, so that one that fails under a condition leaves its place empty.
    data["rank"] = data["accuracy"].rank(method="dense").astype(int)
    panels = _panels(list(data["condition"].unique()))
    figure = new_figure(DOUBLE, 2.6 * ((len(panels) + 1) // 2))
    for i, (title, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot((len(panels) + 1) // 2, 2, i)
        _plot_panel(axes, data, names)
        axes.set_title(title)
        axes.set_xlabel("Network, by rank of its CIFAR-10 test accuracy")
        axes.set_ylabel("Score above the lowest")
    counts = rows.groupby(["condition", "index"]).size()
    legend_below(
        figure, [], f"Mean and range of n = {number_range(counts)} repeats; a range may be smaller than its marker."
    )
    return Drawing(figure, data)


def _spread(name: object, rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, least and greatest score of every network under one condition, above the lowest mean."""
    matrix = score_matrix(rows)
    low, high = matrix.min(axis=1), matrix.max(axis=1)
    mean = matrix.mean(axis=1).clip(low, high)  # of equal scores it may round to beside them
    lowest, ends = mean.min(), {"mean": mean, "low": low, "high": high}
    return (pd.DataFrame(ends) - lowest).reset_index().assign(condition=name, lowest=lowest)


def _panels(conditions: Sequence[str]) -> dict[str, list[str]]:
    known = {title: [name for name in names if name in conditions] for title, names in PANELS.items()}
    placed = {name for names in known.values() for name in names}
    return {title: names for title, names in known.items() if names} | {
        name: [name] for name in conditions if name not in placed
    }


def _plot_panel(axes: Axes, data: pd.DataFrame, names: Sequence[str]) -> None:
    for i, name in enumerate(names):
        rows = data[data["condition"] == name].sort_values("rank")
        # Side by side, so that none hides another.
        where = rows["rank"] + 0.7 * (i - (len(names) - 1) / 2) / len(names)
        ends = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        look = series(i)
        label = NAMES.get(name, name.rpartition("-")[2])
        axes.errorbar(
            where, rows["mean"], ends, color=look.colour, marker=look.marker, linestyle="", markersize=2.5, label=label
        )
    axes.set_xticks(range(1, data["rank"].max() + 1))
    if len(names) > 1:
        low, high = axes.get_ylim()
        axes.set_ylim(low, high + 0.25 * (high - low))  # room for the legend
        axes.legend(ncols=3, loc="upper center", columnspacing=0.8, handletextpad=0.2)


POINTS = 60
AXES = {"trained": "Trained architectures", "seconds": "Seconds of training"}
FROM = 5
"""Trainings from which on is shown: before, all searches are draws at random or a few good scores."""
DASHES = {10: ":", 100: "--", 1000: "-."}
"""Lines of NASWOT by N."""


def plot_simulated_searches(inputs: list[Path]) -> Drawing:
    """The benchmark's table, one simulations.parquet, and perhaps scores.parquet, for NASWOT's own search.

    Lines are means over repeats, bands the 95 % t-interval of the mean. NASWOT trains nothing: its lines are level.
    """
    if len(inputs) < 2:
        raise UserError("naswot-cost: give the benchmark's table, a simulations.parquet, and perhaps a scores.parquet")
    truth, simulated = read_report_columns(inputs[0]), read_simulation_runs(inputs[1], "nasbench201")
    rows = list(_curves(simulated, truth))
    for path in inputs[2:]:
        rows += _levels(read_score_file(path), truth)
    data = pd.DataFrame(rows)
    figure = new_figure(DOUBLE, 2.6)
    grid = figure.subplots(1, len(DATA))
    for axes, name in zip(grid, DATA, strict=True):
        _panel(axes, data[data["test_of"] == name], simulated)
        axes.set_title(LABELS[name])
    grid[0].set_ylabel("Test accuracy (%)")
    note = f"Mean of n = {simulated.repeats} simulated searches; bands: 95 % t-interval of the mean."
    legend_below(figure, grid, note)
    return Drawing(figure, data)


def _curves(simulated: SimulationRuns, truth: ReportColumns) -> Iterator[dict[str, object]]:
    points = np.geomspace(_first(simulated), simulated.spent, POINTS)
    points = np.unique(points.round()) if simulated.cost == "trained" else points
    for method in (name for name in METHODS if name in set(simulated.rows["method"])):
        best = incumbents(simulated.rows[simulated.rows["method"] == method], points, simulated.cost)
        for data in DATA:
            for i, spent in enumerate(points):
                reached = summarise(truth.test[data][best[:, i]].tolist())
                yield {"method": method, "spent": spent, "unit": simulated.cost, "test_of": data, **reached._asdict()}


def _levels(scored: ScoreFile, truth: ReportColumns) -> Iterator[dict[str, object]]:
    for drawn in replay([scored]):
        for data in DATA:
            reached = summarise(truth.test[data][drawn.chosen].tolist())
            common = {"method": "naswot", "candidates": drawn.candidates, "spent": 0.0, "test_of": data}
            yield {**common, **reached._asdict()}


def _first(simulated: SimulationRuns) -> float:
    """Cost from which on is shown."""
    if simulated.cost == "trained":
        return min(FROM, simulated.budget)
    return simulated.spent * min(FROM, simulated.budget) / simulated.budget


def _panel(axes: Axes, rows: pd.DataFrame, simulated: SimulationRuns) -> None:
    for method, label in METHODS.items():
        line = rows[rows["method"] == method]
        if len(line):
            look = LOOKS[method].line
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


COLOURS = "viridis"


def plot_kernels(inputs: list[Path]) -> Drawing:
    """One kernels.parquet → every kernel as a picture, worst bin first, with the accuracy above it.

    All panels have one scale, from the least entry to 1; the numbers are the mean and the greatest entry off the
    diagonal.
    """
    if len(inputs) != 1:
        raise UserError("naswot-kernels: give one kernels.parquet")
    rows, _ = KERNELS_FILE.read(inputs[0])
    pictures = [np.reshape(kernel, (math.isqrt(len(kernel)),) * 2) for kernel in rows["kernel"]]
    bins = list(dict.fromkeys(zip(rows["low"], rows["high"], strict=True)))
    columns, least = len(rows) // len(bins), min(float(picture.min()) for picture in pictures)
    figure = new_figure(DOUBLE, 0.3 + (DOUBLE - 0.8) / columns * 1.15 * len(bins))
    grid = figure.subplots(len(bins), columns, squeeze=False)
    for axes, picture, accuracy in zip(grid.flat, pictures, rows["accuracy"], strict=True):
        axes.imshow(picture, vmin=least, vmax=1, cmap=COLOURS, interpolation="nearest")
        axes.set_title(f"{accuracy:.1f} %")
        axes.set(xticks=[], yticks=[])
        axes.grid(False)
        axes.spines[:].set_visible(False)
    for line, (low, high) in zip(grid, bins, strict=True):
        line[0].set_ylabel(f"{low:g} to {high:g} %")
    figure.suptitle(
        "Kernel matrices of minibatches; above each the test accuracy of its network, in rows by accuracy", fontsize=8
    )
    scale = ScalarMappable(cmap=COLOURS)
    scale.set_clim(least, 1)
    figure.colorbar(scale, ax=grid, shrink=0.4, label="Share of units that agree")
    apart = [picture[~np.eye(len(picture), dtype=bool)] for picture in pictures]
    mean, greatest = ([float(measure(values)) for values in apart] for measure in (np.mean, np.max))
    return Drawing(figure, rows.drop(columns="kernel").assign(mean=mean, greatest=greatest))


SHOWN = 1000
"""Dots of a panel, as in the paper; τ is that of all architectures."""
SMALL = 300.0
"""Scores of the Jacobian up to this size are shown in proportion, larger ones by their logarithm."""


def plot_scores(inputs: list[Path]) -> Drawing:
    """The benchmark's table and files of scores: one row of panels per file, one column per data set."""
    truth, scored = read_inputs("naswot-scatter", inputs)
    figure = new_figure(DOUBLE, 0.2 + 2.2 * len(scored))
    grid, numbers = figure.subplots(len(scored), len(DATA), squeeze=False), []
    for line, one in zip(grid, scored, strict=True):
        rows = one.rows[one.rows["status"] == "scored"]
        for axes, data in zip(line, DATA, strict=True):
            result = correlation(one.rows, truth.test[data])
            dots = rows.head(SHOWN)
            reached = truth.test[data][dots["index"]]
            axes.plot(dots["score"], reached, ".", color=BLUE, markersize=1.5, alpha=0.5, rasterized=True)
            shown = f" ({SHOWN:,} shown)" if len(rows) > SHOWN else ""
            axes.set_title(f"{LABELS[data]}\nτ = {result.tau:.3f}, n = {result.n:,}{shown}")
            if one.kind == "jacobian_eigenvalues":
                axes.set_xscale("symlog", linthresh=SMALL)  # a few scores are thousands of times the others
            axes.set_xlabel(f"{KINDS[one.kind].capitalize()}, {one.mode} mode")
            common = {"score_of": one.kind, "mode": one.mode, "seed": one.seed, "test_of": data}
            numbers.append(dots[["index", "score"]].assign(accuracy=reached, **common))
        line[0].set_ylabel("Test accuracy (%)")
    return Drawing(figure, pd.concat(numbers))
