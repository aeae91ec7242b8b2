"""Figure: true accuracy over epochs of what searches on NAS-Bench-201 select."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from parsec.errors import UserError
from parsec.report.figures.curves import SEED, Group, count_text, epoch_axis, grouped, plot_seeds
from parsec.report.figures.style import DOUBLE, Drawing, legend_below, new_figure
from parsec.report.inputs import KEYS, TITLES
from parsec.report.methods import BLACK, GREY
from parsec.report.tables.nasbench201 import LABELS
from parsec.tabular.nasbench201 import DATA

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


def _plot_panel(axes: Axes, group: Group, data: str) -> None:
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
    """Parquet files of `lookup` → test accuracy in percent, one row per stage and method, one column per data set.

    Raises:
        UserError: a file that is missing, damaged or another one.
    """
    rows = pd.concat([read_epochs(path) for path in inputs], ignore_index=True)
    groups = grouped(rows.assign(panel=[TITLES[stage] for stage in rows["stage"]]))
    figure = new_figure(DOUBLE, 0.4 + (1.5 if len(groups) < 4 else 1.05) * len(groups))
    grid = figure.subplots(len(groups), len(DATA), squeeze=False, sharey="col")
    for panels, group in zip(grid, groups, strict=True):
        for axes, data in zip(panels, DATA, strict=True):
            _plot_panel(axes, group, data)
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
