"""What the figures over epochs share: one panel a stage, one line a seed."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from parsec.report.figures.style import every, series

LINE = ["method", "seed"]
"""The columns that tell the lines of a panel apart."""

MANY = 12
"""From so many lines on they are not told apart: a legend of all would leave no room for the panels."""
FAINT: dict[str, Any] = {"marker": "", "linewidth": 0.5, "alpha": 0.4}

Looks = Mapping[tuple[str, int], dict[str, Any]]


def looks_of(runs: pd.DataFrame) -> Looks:
    """Label and line by method and seed, the same in every panel; the method is named where there are several.

    Of `MANY` lines or more, those of a method look alike and share one label, which says how many there are.
    """
    lines = sorted(runs.groupby(LINE).groups)
    methods = list(dict.fromkeys(method for method, _ in lines))
    if len(lines) >= MANY:
        seeds = Counter(method for method, _ in lines)
        looks = {
            m: series(place).plot() | FAINT | {"label": f"{m}, {seeds[m]} seeds"} for place, m in enumerate(methods)
        }
        return {line: looks[line[0]] for line in lines}
    names = "{}, seed {}" if len(methods) > 1 else "seed {1}"
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
