"""Figure: memory of every search method against the depth of its network."""

from pathlib import Path

import pandas as pd
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter, NullLocator, ScalarFormatter

from parsec.records.documents import read_document
from parsec.report.figures.style import DOUBLE, Drawing, legend_below, new_figure, series
from parsec.report.tables.accuracy import METHODS

MEBIBYTE = 2**20
ONE = {"one": ", one child at a time"}
"""What is added to the name of a method that ran with an executor."""


def _read(path: Path) -> pd.DataFrame:
    rows = read_document(path, "depths")["rows"]
    return pd.DataFrame(rows, columns=["method", "executor", "cells", "peak_bytes"])


def _label(method: str, executor: str) -> str:
    added = ONE.get(executor, ", several children at once") if method == "parsec" else ""
    return METHODS.get(method, (method, ""))[0] + added


def draw(inputs: list[Path]) -> Drawing:
    """Files of `depths` (JSON) → most bytes of tensors at once over the number of cells, both axes logarithmic.

    Raises:
        UserError: a file that is missing, damaged or empty.
    """
    rows = pd.concat([_read(path) for path in inputs], ignore_index=True)
    figure = new_figure(DOUBLE, 3.0)
    axes = figure.add_subplot()
    for place, ((method, executor), line) in enumerate(rows.groupby(["method", "executor"], sort=False)):
        look = series(place).plot() | {"label": _label(str(method), str(executor))}
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
