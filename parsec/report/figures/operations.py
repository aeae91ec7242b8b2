"""Figure: share of every operation over epochs; a collapse to skip connections shows as a black area."""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes

from parsec.errors import UserError
from parsec.report.figures.curves import Group, count_text, epoch_axis, grouped, learning
from parsec.report.figures.style import (
    NASBENCH201,
    PRIMITIVES,
    Drawing,
    facets,
    legend_below,
    name_axes,
    panel_title,
    primitive_label,
    primitive_line,
)
from parsec.report.inputs import KEYS, ORDER, read_runs
from parsec.report.tables.base import listing

NAMES = {"normal": "Normal cell", "reduce": "Reduction cell", "cell": "Cell"}


def _shares(runs: pd.DataFrame, cell: str) -> pd.DataFrame:
    """Expected share of every primitive in the slots of a cell, one row per run, epoch and primitive."""
    counts = pd.DataFrame([operations[cell] for operations in runs["operations"]])
    shares = counts.div(counts.sum(axis=1), axis=0)
    keys = runs[[*KEYS, "panel", "base", "epoch"]].assign(cell=cell)
    shares.index = pd.MultiIndex.from_frame(keys)
    return shares.rename_axis(columns="primitive").stack().rename("share").reset_index()


def _plot_cell(axes: Axes, shares: pd.DataFrame) -> None:
    """Means over seeds, stacked from skip connections upwards, at the epochs that all seeds have."""
    seeds = shares.pivot(index="epoch", columns=["primitive", "seed"], values="share").astype(float)
    # Spaces differ in their primitives; a form without `none` has no column of it.
    means = 100 * seeds.dropna(axis=1, how="all").dropna().T.groupby(level="primitive").mean().T
    names = [name for name in dict.fromkeys([*PRIMITIVES, *NASBENCH201, *means]) if name in means]
    colours = [primitive_line(name).colour for name in names]
    labels = [primitive_label(name) for name in names]
    axes.stackplot(means.index, means[names].T, colors=colours, labels=labels, edgecolor="white", linewidth=0.4)
    epoch_axis(axes)
    axes.set_yticks([0, 50, 100])
    axes.set_ylim(0, 101)
    axes.grid(False)


def _cells(runs: pd.DataFrame) -> tuple[str, ...]:
    """The cells that are searched, in the order in which they were recorded."""
    cells = {tuple(operations) for operations in runs["operations"]}
    if len(cells) != 1:
        raise UserError("the figure operations shows runs on one search space; draw each space separately")
    return cells.pop()


def _note(groups: list[Group], cells: tuple[str, ...], without: str) -> str:
    """What the shares are, of how many searches, and which methods have none."""
    kinds = listing(group.method.distribution or "π" for group in groups)
    names = [NAMES[cell].split()[0].lower() for cell in cells]
    rows = f"Above: {' cells, below: '.join(names)} cells. " if len(cells) > 1 else ""
    shares = f"Expected share of each operation under {kinds}, mean over searches ({count_text(groups)})"
    return f"{rows}{shares}, from below in this order. {without}"


def plot_operations(inputs: list[Path]) -> Drawing:
    """Run folders → share in percent of each primitive in the slots (or edges) of a cell, expected under π.

    Every method has panels of its own, because a collapse of one must not be hidden in a mean over all.

    Raises:
        UserError: a run that cannot be read, or runs on different search spaces.
    """
    runs = read_runs(inputs).dropna(subset="operations")
    cells = _cells(runs)
    shares = pd.concat([_shares(runs, cell) for cell in cells])
    groups, without = learning(grouped(runs))
    figure, blocks = facets([len(groups)] * len(cells), 1.5 if len(groups) < 4 else 0.95)
    for cell, block in zip(cells, blocks, strict=True):
        of_cell = shares[shares["cell"] == cell]
        for axes, group in zip(block, groups, strict=True):
            members = of_cell.merge(group.runs[[*KEYS, "epoch"]], on=[*KEYS, "epoch"])
            _plot_cell(axes, members)
            panel_title(axes, group.title)
        name_axes(block, f"{NAMES[cell]}\n(% of slots)", "Epoch")
    legend_below(figure, blocks[0], _note(groups, cells, without))
    numbers = shares.sort_values([*ORDER, "cell", "epoch"], kind="stable")
    return Drawing(figure, numbers[[*KEYS, "epoch", "cell", "primitive", "share"]])
