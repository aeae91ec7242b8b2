"""Figure: scores of a few networks over images, noise, initialisations and batch sizes (NASWOT, figure 5)."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from parsec.errors import UserError
from parsec.records.parquet import ABLATION_FILE
from parsec.report.figures.style import DOUBLE, Drawing, new_figure, series
from parsec.report.tables.naswot import score_matrix
from parsec.tabular.nasbench201 import read_report_columns

PANELS = {
    "Minibatches": ("images",),
    "Noise for images": ("noise",),
    "Initialisations": tuple(f"weights-{i}" for i in ("default", "normal", "uniform", "orthogonal", "identity")),
    "Batch sizes": ("batch-32", "batch-64", "images", "batch-256"),
}
"""Conditions of each panel; conditions of other names get a panel of their own."""
NAMES = {"images": "128"}
"""What a condition is called among those of its panel."""


def draw(inputs: list[Path]) -> Drawing:
    """The benchmark's table and one ablation.parquet: mean and range over repeats for every network.

    Scores have the lowest mean of the condition's networks taken away, because they grow with the size of the batch.

    Raises:
        UserError: a file that is missing or another one.
    """
    if len(inputs) != 2:
        raise UserError("naswot-ablation: give the benchmark's table, then one ablation.parquet")
    accuracies = read_report_columns(inputs[0]).test["cifar10"]
    rows, _ = ABLATION_FILE.read(inputs[1])
    shown = [_spread(name, group) for name, group in rows.groupby("condition", sort=False)]
    data = pd.concat(shown).assign(accuracy=lambda frame: accuracies[frame["index"]])
    # Of all networks, so that one that fails under a condition leaves its place empty.
    data["rank"] = data["accuracy"].rank(method="dense").astype(int)
    panels = _panels(list(data["condition"].unique()))
    figure = new_figure(DOUBLE, 2.6 * ((len(panels) + 1) // 2))
    for place, (title, names) in enumerate(panels.items(), 1):
        axes = figure.add_subplot((len(panels) + 1) // 2, 2, place)
        _draw_panel(axes, data, names)
        axes.set_title(title)
        axes.set_xlabel("Network, by CIFAR-10 test accuracy")
        axes.set_ylabel("Score above the lowest")
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


def _draw_panel(axes: Axes, data: pd.DataFrame, names: Sequence[str]) -> None:
    for place, name in enumerate(names):
        rows = data[data["condition"] == name].sort_values("rank")
        # Side by side, so that none hides another.
        where = rows["rank"] + 0.7 * (place - (len(names) - 1) / 2) / len(names)
        ends = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
        look = series(place)
        label = NAMES.get(name, name.rpartition("-")[2])
        axes.errorbar(
            where, rows["mean"], ends, color=look.colour, marker=look.marker, linestyle="", markersize=2.5, label=label
        )
    axes.set_xticks(range(1, data["rank"].max() + 1))
    if len(names) > 1:
        axes.margins(y=0.3)  # room for the legend
        axes.legend(ncols=3, loc="upper center", columnspacing=0.8, handletextpad=0.2)
