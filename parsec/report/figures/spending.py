"""Figures of accuracy over epochs, images and seconds of searches, true accuracy on NAS-Bench-201 included."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from parsec.errors import UserError
from parsec.report.figures.curves import LINE, Looks, epoch_axis, looks_of, plot_metric
from parsec.report.figures.style import BLACK, DOUBLE, Drawing, every, legend_below, new_figure, series
from parsec.report.inputs import KEYS, read_runs
from parsec.report.tables.accuracy import METHODS
from parsec.report.tables.nasbench201 import LABELS
from parsec.tabular.nasbench201 import DATA

EXPECTED: dict[str, Any] = {"linestyle": (0, (4, 1.5)), "marker": "", "label": "_"}


def read_epochs(path: Path) -> pd.DataFrame:
    """Rows of every epoch that `lookup` wrote.

    Raises:
        UserError: the file is missing, damaged or another one.
    """
    columns = [
        *KEYS,
        "epoch",
        "forward_images",
        "seconds",
        *(f"{kind}_{data}" for kind in ("test", "expected") for data in DATA),
    ]
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not the Parquet file that `parsec lookup` writes; run it again") from error


def _plot_panel(axes: Axes, rows: pd.DataFrame, data: str, looks: Looks) -> None:
    for line, run in rows.groupby(LINE, sort=False):
        plot_metric(axes, run, f"test_{data}", looks[line])
        plot_metric(axes, run, f"expected_{data}", looks[line] | EXPECTED)
    epoch_axis(axes)


def plot_found(inputs: list[Path]) -> Drawing:
    """Parquet files of `lookup` → test accuracy in percent, one row per stage and one column per data set.

    Raises:
        UserError: a file that is missing, damaged or another one.
    """
    rows = pd.concat([read_epochs(path) for path in inputs], ignore_index=True)
    looks, stages = looks_of(rows), rows.groupby("stage", sort=False)
    figure = new_figure(DOUBLE, 0.5 + 1.8 * len(stages))
    grid = figure.subplots(len(stages), len(DATA), squeeze=False)
    for panels, (stage, stage_rows) in zip(grid, stages, strict=True):
        for axes, data in zip(panels, DATA, strict=True):
            _plot_panel(axes, stage_rows, data, looks)
            axes.set_title(LABELS[data] if len(stages) == 1 else f"{LABELS[data]}, {stage}")
        panels[0].set_ylabel("Test accuracy (%)")
    for look in ({"label": "selected architecture", "marker": "o"}, EXPECTED | {"label": "mean of draws from π"}):
        grid[0, 0].add_line(Line2D([], [], color=BLACK, **look))
    legend_below(figure, grid.flat)
    return Drawing(figure, rows)


SPENT = {"forward_images": (1e-3, "Images through children (thousands)"), "elapsed": (1.0, "Time of training (s)")}
"""Columns of the horizontal axes, with the factor and the name of what is drawn."""
BAND = 0.15

MethodLooks = Mapping[str, dict[str, Any]]


def _looks(rows: pd.DataFrame) -> MethodLooks:
    """By method: its look, and its printed name; variants come after the methods."""
    methods = list(dict.fromkeys(rows["method"]))
    names = {name: label for name, (label, _) in METHODS.items() if name in methods} | {
        name: name for name in methods if name not in METHODS
    }
    return {name: series(i).plot() | {"label": label} for i, (name, label) in enumerate(names.items())}


def _plot_means(axes: Axes, rows: pd.DataFrame, spent: str, value: str, looks: MethodLooks) -> None:
    """Mean over seeds as a line over their mean spending, all seeds as a band, where all of them have a value."""
    factor, name = SPENT[spent]
    for method, look in looks.items():
        runs = rows[rows["method"] == method]
        if runs.empty:
            continue
        # Epochs at which every seed has a value.
        seeds = runs.pivot(index="epoch", columns="seed", values=[spent, value]).dropna().astype(float)
        over = factor * seeds[spent].mean(axis=1)
        axes.plot(over, seeds[value].mean(axis=1), markevery=every(len(seeds)), **look)
        axes.fill_between(
            over, seeds[value].min(axis=1), seeds[value].max(axis=1), color=look["color"], alpha=BAND, lw=0
        )
    axes.set_xlabel(name)
    axes.margins(x=0.03)


def _grid(rows: pd.DataFrame, columns: Sequence[tuple[str, pd.DataFrame, str]], label: str) -> Drawing:
    """One column a title, rows and their value; below each other both ways to count what was spent."""
    looks = _looks(rows)
    figure = new_figure(DOUBLE, 4.2)
    grid = figure.subplots(len(SPENT), len(columns), squeeze=False, sharey="col")
    for panels, spent in zip(grid, SPENT, strict=True):
        for axes, (title, subset, value) in zip(panels, columns, strict=True):
            _plot_means(axes, subset, spent, value, looks)
            if spent == next(iter(SPENT)):
                axes.set_title(title)
        panels[0].set_ylabel(label)
    legend_below(figure, grid.flat)
    return Drawing(figure, rows[[*KEYS, "epoch", *SPENT, *dict.fromkeys(value for *_, value in columns)]])


def plot_found_spending(inputs: list[Path]) -> Drawing:
    """Parquet files of `lookup` → true accuracy in percent of what a search would have ended with.

    Raises:
        UserError: a file that is missing, damaged or another one.
    """
    rows = pd.concat([read_epochs(path) for path in inputs], ignore_index=True)
    rows = rows[rows["stage"] == "search"].rename(columns={"seconds": "elapsed"})
    return _grid(rows, [(LABELS[data], rows, f"test_{data}") for data in DATA], "Test accuracy (%)")


def plot_spending(inputs: list[Path]) -> Drawing:
    """Run folders → validation accuracy in percent, with the search's own weights, of what it would have ended with.

    Methods and variants of them have panels of their own; PARSEC is in both.

    Raises:
        UserError: a run that cannot be read.
    """
    runs = read_runs(inputs)
    runs = runs[runs["stage"] == "search"].sort_values(["method", "seed", "epoch"], ignore_index=True)
    # Epoch 0 has no training time.
    elapsed = runs["seconds"].fillna(0.0).groupby([runs["method"], runs["seed"]], sort=False).cumsum()
    runs = runs.assign(elapsed=elapsed, accuracy=100 * runs["mode_accuracy"])
    methods = runs[runs["method"].isin(METHODS)]
    variants = runs[~runs["method"].isin(METHODS) | runs["method"].eq("parsec")]
    columns = [("Methods", methods, "accuracy"), ("PARSEC and all variants", variants, "accuracy")]
    panels = columns if variants["method"].nunique() > 1 else columns[:1]
    return _grid(runs, panels, "Validation accuracy (%)")
