"""What the figures over epochs share: one panel a stage, one line a seed."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from parsec.report.figures.palette import series
from parsec.report.figures.style import every

LINE = ["method", "seed"]
"""The columns that tell the lines of a panel apart."""

Looks = Mapping[tuple[str, int], dict[str, Any]]


def looks_of(runs: pd.DataFrame) -> Looks:
    """Label and line by method and seed, the same in every panel; the method is named where there are several."""
    lines = sorted(runs.groupby(LINE).groups)
    names = "{}, seed {}" if runs["method"].nunique() > 1 else "seed {1}"
    return {line: {"label": names.format(*line), **series(place).plot()} for place, line in enumerate(lines)}


def draw_line(axes: Axes, run: pd.DataFrame, name: str, look: Mapping[str, Any], factor: float = 1.0) -> None:
    """Draw one metric of one run over the epochs at which it was recorded, multiplied by `factor`."""
    shown = run.dropna(subset=name)
    axes.plot(shown["epoch"], factor * shown[name], markevery=every(len(shown)), **look)


def epoch_axis(axes: Axes, labelled: bool = True) -> None:
    """Whole epochs on the horizontal axis; the margin shows markers at its ends whole."""
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.margins(x=0.03)
    if labelled:
        axes.set_xlabel("Epoch")
