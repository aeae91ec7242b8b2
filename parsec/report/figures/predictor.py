"""Figure: best validation accuracy so far over trained architectures, by pool, with exact random search."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from parsec.report import sample_efficiency
from parsec.report.figures.style import DOUBLE, GREY, SINGLE, Drawing, every, legend_below, new_figure, series
from parsec.report.tables.predictor import RANDOM, FloatArray, Study, read_studies

QUARTILES = ("lower", "median", "upper")
SHARES = (0.25, 0.5, 0.75)
POINTS = 60
"""Budgets at which random search is computed."""


def draw(inputs: list[Path]) -> Drawing:
    """Pairs of a run's folder and its benchmark → median over repeats, band between the quartiles; one panel a run."""
    studies = read_studies(inputs)
    figure = new_figure(SINGLE if len(studies) == 1 else DOUBLE, 2.8)
    grid = figure.subplots(1, len(studies), squeeze=False)[0]
    numbers = []
    for axes, study in zip(grid, studies, strict=True):
        numbers.append(pd.concat(_curves(study)))
        _panel(axes, study, numbers[-1])
    legend_below(figure, grid)
    return Drawing(figure, pd.concat(numbers))


def _curves(study: Study) -> Iterator[pd.DataFrame]:
    for pool in study.architectures:
        best = np.maximum.accumulate(study.trained(pool), axis=1)
        yield _frame(study, pool, np.arange(1, study.job.budget + 1), np.quantile(best, SHARES, axis=0))
    at = np.unique(np.linspace(1, study.job.budget, POINTS).astype(int))
    exact = [[sample_efficiency.best_so_far(study.accuracies, int(count), share) for count in at] for share in SHARES]
    yield _frame(study, RANDOM, at, np.array(exact))


def _frame(study: Study, pool: str, trained: NDArray[np.int64], quartiles: FloatArray) -> pd.DataFrame:
    named = dict(zip(QUARTILES, quartiles, strict=True))
    return pd.DataFrame({"run": study.title, "pool": pool, "trained": trained, **named})


def _panel(axes: Axes, study: Study, curves: pd.DataFrame) -> None:
    for place, (pool, curve) in enumerate(curves.groupby("pool", sort=False)):
        line = series(place).plot() if pool != RANDOM else {"color": GREY, "linestyle": "--"}
        axes.plot(curve["trained"], curve["median"], label=str(pool), markevery=every(len(curve)), **line)
        axes.fill_between(curve["trained"], curve["lower"], curve["upper"], color=line["color"], alpha=0.15, lw=0)
    top = float(study.accuracies.max() if study.tabular else curves["upper"].max())
    if study.tabular:
        axes.axhline(top, color=GREY, linewidth=0.6, linestyle=":")
    # What the first few random architectures reach is of no interest and would take all the height.
    low = float(curves.loc[curves["trained"] >= min(study.job.start, study.job.budget), "lower"].min())
    axes.set_ylim(low - 0.1 * (top - low), top + 0.05 * (top - low))
    axes.set_xlabel("Trained architectures" if study.tabular else "Scored architectures")
    axes.set_ylabel("Best validation accuracy so far (%)" if study.tabular else "Best score so far")
    axes.set_title(study.title)
