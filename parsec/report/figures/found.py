"""Figure: true accuracy of the selected architecture, and expected accuracy of a draw from π, over epochs."""

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from parsec.errors import UserError
from parsec.report.figures.curves import LINE, Looks, draw_line, epoch_axis, looks_of
from parsec.report.figures.style import BLACK, DOUBLE, Drawing, legend_below, new_figure
from parsec.report.runs import KEYS
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
        "child_images",
        "seconds",
        *(f"{kind}_{data}" for kind in ("test", "expected") for data in DATA),
    ]
    try:
        return pd.read_parquet(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{path}: not the Parquet file that `parsec lookup` writes; run it again") from error


def _draw_panel(axes: Axes, rows: pd.DataFrame, data: str, looks: Looks) -> None:
    for line, run in rows.groupby(LINE, sort=False):
        draw_line(axes, run, f"test_{data}", looks[line])
        draw_line(axes, run, f"expected_{data}", looks[line] | EXPECTED)
    epoch_axis(axes)


def draw(inputs: list[Path]) -> Drawing:
    """Parquet files of `lookup` → test accuracy in percent, a row a stage and a column a data set.

    Raises:
        UserError: a file that is missing, damaged or another one.
    """
    rows = pd.concat([read_epochs(path) for path in inputs], ignore_index=True)
    looks, stages = looks_of(rows), rows.groupby("stage", sort=False)
    figure = new_figure(DOUBLE, 0.5 + 1.8 * len(stages))
    grid = figure.subplots(len(stages), len(DATA), squeeze=False)
    for panels, (stage, found) in zip(grid, stages, strict=True):
        for axes, data in zip(panels, DATA, strict=True):
            _draw_panel(axes, found, data, looks)
            axes.set_title(LABELS[data] if len(stages) == 1 else f"{LABELS[data]}, {stage}")
        panels[0].set_ylabel("Test accuracy (%)")
    for look in ({"label": "selected architecture", "marker": "o"}, EXPECTED | {"label": "mean of draws from π"}):
        grid[0, 0].add_line(Line2D([], [], color=BLACK, **look))
    legend_below(figure, grid.flat)
    return Drawing(figure, rows)
