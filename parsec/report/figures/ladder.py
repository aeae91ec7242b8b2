"""Figure: what searches on NAS-Bench-201 find at several budgets, and how well their shared weights rank by then."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from parsec.errors import UserError
from parsec.records.documents import read_documents
from parsec.report.figures.curves import number_range
from parsec.report.figures.style import DOUBLE, Drawing, legend_below, new_figure
from parsec.report.methods import GREY, described
from parsec.report.tables.nasbench201 import ACCURACIES
from parsec.space.nasbench201 import EDGES
from parsec.stats import summarise

PANELS = {
    **{f"test_{data}": name for data, name in ACCURACIES.items()},
    "tau": "τ of −loss with the truth",
    "skips": "Skip edges (%)",
}
"""Columns drawn, and the titles of their panels."""
ASIDE = 1.035
"""Ratio by which the error bars of neighbouring methods are set apart on the logarithmic axis."""


def _searches(inputs: list[Path]) -> tuple[pd.DataFrame, dict[str, float]]:
    """One row per search, with `budget`, the number of its run; and the mean of convolutions only by column."""
    documents = read_documents(inputs, "lookup", "ranking")
    lookups = [document for document in documents if document["kind"] == "lookup"]
    rankings = [document for document in documents if document["kind"] == "ranking"]
    if not lookups or len(lookups) != len(rankings):
        raise UserError(
            "ladder: give a run of every budget, each as lookup/nasbench201.json and ranking/ranking.json, or as the "
            "results.jsonl of its record"
        )
    keys, budgets = ["stage", "method", "seed"], []
    for budget, (lookup, ranking) in enumerate(zip(lookups, rankings, strict=True)):
        found = pd.DataFrame(lookup["runs"])
        found["skips"] = found["architecture"].str.count("skip_connect") * 100 / len(EDGES)
        rows = pd.DataFrame(ranking["rows"])
        tau = rows[rows["moment"] == "end"].rename(columns={"truth": "tau"})[[*keys, "tau"]]
        # The budget is that of the search; fine-tuning has its own.
        found = found[found["stage"] == "search"].merge(tau, how="left", on=keys)
        budgets.append(found.assign(budget=budget))
    columns = [*keys, "base", "budget", "forward_images", *PANELS]
    # Early records have no rows without a search; the first of them is that of convolutions only.
    trivial = lookups[0].get("trivial", [])
    convolutions = {f"test_{data}": mean for row in trivial[:1] for data, mean in row["mean"].items()}
    return pd.concat(budgets, ignore_index=True)[columns], convolutions


def plot_ladder(inputs: list[Path]) -> Drawing:
    """Documents of `parsec lookup` and `parsec ranking`, two per budget → means over searches with 95 % intervals.

    A panel per data set (test accuracy in percent), one for τ at the end and one for the share of skip connections.
    """
    rows, convolutions = _searches(inputs)
    methods = described(dict(zip(rows["method"], rows["base"], strict=True)))
    figure = new_figure(DOUBLE, 3.6)
    *panels, corner = figure.subplots(2, 3).flat
    # Methods of one budget differ by an epoch at most: they are drawn around the largest, in two digits.
    budgets = rows.groupby("budget")["forward_images"].max().map(lambda images: float(f"{images / 1e3:.2g}"))
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        for i, (method, look) in enumerate(methods.items()):
            members = rows[rows["method"] == method].dropna(subset=column)
            if len(members):
                aside = ASIDE ** (i - (len(methods) - 1) / 2)
                _plot_means(axes, members, column, aside * budgets, look.line.plot() | {"label": look.name})
        if column in convolutions:
            axes.axhline(convolutions[column], color=GREY, linewidth=0.8, linestyle=(0, (1, 1)))
        axes.set_title(title)
        axes.set_xscale("log")
        axes.set_xticks(budgets, [f"{budget:.0f}" for budget in budgets])
        axes.set_xticks([], minor=True)
        axes.margins(x=0.15)
    for axes in panels[2:]:
        axes.set_xlabel("Images (thousands)")
    # The sixth panel is the legend's.
    corner.axis("off")
    corner.legend(*panels[0].get_legend_handles_labels(), loc="center")
    count = number_range(rows.groupby(["method", "budget"]).size())
    note = f"Over images through sampled architectures: means of n = {count} searches per method with 95 % t-intervals."
    dotted = " Dotted: mean of all architectures of convolutions only." if convolutions else ""
    legend_below(figure, [], note + dotted)
    return Drawing(figure, rows)


def _plot_means(axes: Axes, members: pd.DataFrame, column: str, costs: pd.Series, look: dict[str, Any]) -> None:
    """A point per budget, joined by a line, with the interval of the mean where there are several searches."""
    summaries = {budget: summarise(values.tolist()) for budget, values in members.groupby("budget")[column]}
    means = [summary.mean for summary in summaries.values()]
    # One search has no interval.
    bars = [
        (0.0, 0.0) if s.low is None or s.high is None else (s.mean - s.low, s.high - s.mean) for s in summaries.values()
    ]
    axes.errorbar(costs[list(summaries)], means, np.transpose(bars), elinewidth=0.8, **look)
