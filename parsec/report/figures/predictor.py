"""Figures on predictor-based search: accuracy over trained architectures, proposals over their strength β."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.report import sample_efficiency
from parsec.report.figures.curves import number_range
from parsec.report.figures.style import DOUBLE, SINGLE, Drawing, every, legend_below, new_figure, series
from parsec.report.methods import BLACK, GREY
from parsec.report.tables.predictor import RANDOM, PredictorRun, read_predictor_runs
from parsec.report.tables.proposals import read
from parsec.tabular.problem import FloatArray

POOLS = {
    "all": "whole space",
    "uniform": "{size} random candidates",
    "smart": "{size} candidates: edits of the best",
    "evolution": "{size} candidates by evolution",
    "prior": "{size} candidates from π",
}
"""Where candidates come from, by kind of pool."""
QUARTILES = ("lower", "median", "upper")
SHARES = (0.25, 0.5, 0.75)
POINTS = 60
"""Budgets at which random search is computed."""


def plot_predictor(inputs: list[Path]) -> Drawing:
    """Pairs of a run's folder and its benchmark → median and quartiles over repeats, one panel per run."""
    runs = read_predictor_runs(inputs)
    figure = new_figure(SINGLE if len(runs) == 1 else DOUBLE, 2.8)
    grid = figure.subplots(1, len(runs), squeeze=False)[0]
    numbers = []
    for axes, run in zip(grid, runs, strict=True):
        numbers.append(pd.concat(_curves(run)))
        _panel(axes, run, numbers[-1])
    repeats = number_range(len(run.reached[pool]) for run in runs for pool in run.architectures)
    note = f"Median and quartiles over n = {repeats} repeats"
    note += "; dotted: the best of the space." if any(run.tabular for run in runs) else "."
    legend_below(figure, grid, note)
    return Drawing(figure, pd.concat(numbers))


def _curves(run: PredictorRun) -> Iterator[pd.DataFrame]:
    for pool in run.architectures:
        best = np.maximum.accumulate(run.reached[pool], axis=1)
        yield _frame(run, pool, np.arange(1, run.job.budget + 1), np.quantile(best, SHARES, axis=0))
    # Random search: quartiles of the exact distribution instead of repeats.
    at = np.unique(np.linspace(1, run.job.budget, POINTS).astype(int))
    exact = [[sample_efficiency.best_so_far(run.accuracies, int(count), share) for count in at] for share in SHARES]
    yield _frame(run, RANDOM, at, np.array(exact))


def _frame(run: PredictorRun, pool: str, trained: NDArray[np.int64], quartiles: FloatArray) -> pd.DataFrame:
    named = dict(zip(QUARTILES, quartiles, strict=True))
    return pd.DataFrame({"run": run.title, "pool": pool, "trained": trained, **named})


def pool_label(name: str) -> str:
    """A pool in words: `smart-200` as `200 candidates: edits of the best`."""
    kind, _, size = name.partition("-")
    return POOLS[kind].format(size=size) if kind in POOLS else name


def _panel(axes: Axes, run: PredictorRun, curves: pd.DataFrame) -> None:
    for i, (pool, curve) in enumerate(curves.groupby("pool", sort=False)):
        line = series(i).plot() if pool != RANDOM else {"color": BLACK, "linestyle": "--"}
        axes.plot(curve["trained"], curve["median"], label=pool_label(str(pool)), markevery=every(len(curve)), **line)
        axes.fill_between(curve["trained"], curve["lower"], curve["upper"], color=line["color"], alpha=0.15, lw=0)
    top = float(run.accuracies.max() if run.tabular else curves["upper"].max())
    if run.tabular:
        axes.axhline(top, color=GREY, linewidth=0.6, linestyle=":")
    # What the first few random architectures reach is of no interest and would take all the height.
    low = float(curves.loc[curves["trained"] >= min(run.job.start, run.job.budget), "lower"].min())
    axes.set_ylim(low - 0.1 * (top - low), top + 0.05 * (top - low))
    axes.set_xlabel("Trained architectures" if run.tabular else "Scored architectures")
    axes.set_ylabel("Best validation accuracy so far (%)" if run.tabular else "Best score so far")
    axes.set_title(run.title)


MEASURES = {"share": "Effective sample size / K", "error": "Error of the gradient\n/ that under π"}
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1)))
HIGHEST = 3.0
"""Ratio of errors above which nothing is drawn: a proposal that bad is of no use, however bad."""


def plot_proposal(inputs: list[Path]) -> Drawing:
    """One `proposal.parquet` → one column per likelihood, for the last π and the largest K; bands: 95 % intervals."""
    if len(inputs) != 1:
        raise UserError("proposal: give one proposal.parquet, as `parsec propose` makes it")
    rows, _ = read(inputs[0])
    last = rows["prior"].iloc[-1]
    rows = rows[(rows["prior"] == last) & (rows["samples"] == rows["samples"].max())].sort_values("beta")
    images = sorted(rows["images"].unique())
    figure = new_figure(DOUBLE, 4.2)
    grid = figure.subplots(len(MEASURES), len(images), squeeze=False, sharex=True, sharey="row")
    for panels, (measure, label) in zip(grid, MEASURES.items(), strict=True):
        panels[0].set_ylabel(label)
        for axes, count in zip(panels, images, strict=True):
            _proposal_panel(axes, rows[rows["images"] == count], measure)
    for axes, count in zip(grid[0], images, strict=True):
        axes.set_title(f"likelihood of {count} image{'s' if count > 1 else ''}")
    for axes in grid[-1]:
        axes.set_xlabel("Strength of the predictor β")
    grid[0, 0].set_ylim(0, 1.05)
    top = min(HIGHEST, 1.06 * max(axes.dataLim.ymax for axes in grid[1]))
    grid[1, 0].set_ylim(0, top)
    for i, defence in enumerate(sorted(rows["defence"].unique())):
        label = f"{100 * defence:.0f} % of the children from π"
        grid[0, 0].add_line(Line2D([], [], color=BLACK, linestyle=DASHES[i % len(DASHES)], label=label))
    figure.suptitle(f"π of {last}, K = {rows['samples'].iloc[0]}", fontsize=8)
    legend_below(figure, grid.flat)
    return Drawing(figure, rows)


def _proposal_panel(axes: Axes, rows: pd.DataFrame, measure: str) -> None:
    shares = sorted(rows["defence"].unique())
    for i, (trained, group) in enumerate(rows.groupby("trained")):
        for defence, line in group.groupby("defence"):
            look = series(i).plot() | {"linestyle": DASHES[shares.index(defence) % len(DASHES)]}
            label = f"{trained} trained architectures" if defence == shares[0] else "_"
            axes.plot(line["beta"], line[measure], label=label, **look)
            ends = (line[f"{measure}_{end}"] for end in ("low", "high"))
            axes.fill_between(line["beta"], *ends, color=look["color"], alpha=0.15, lw=0)
    if measure == "error":
        axes.axhline(1.0, color=GREY, linewidth=0.8, linestyle=":")
