"""Figure: π over time as heat maps, choice × epoch, one per categorical choice."""

import math
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from parsec.errors import UserError
from parsec.report.figures.curves import NAMES
from parsec.report.figures.style import DOUBLE, Drawing, primitive_label
from parsec.report.inputs import read_trajectory, run_title
from parsec.report.methods import GREY
from parsec.space.darts import NODES, input_name
from parsec.space.nasbench201 import CELL

INPUTS = tuple(input_name(i) for i in range(NODES + 1))
KINDS = ("input", "operation")
"""Factors in the order of their columns."""
COLOURS = "Blues"

Slots = dict[tuple[str, int, int, str], pd.DataFrame]
"""By cell, node, slot and factor: probabilities, one row per epoch, one column per choice."""


def input_label(name: str) -> str:
    """Printed name of an input: the cells before in mathematics, nodes as text."""
    return f"${name}$" if name.startswith("c_") else name.replace("_", " ")


def choice_label(name: str) -> str:
    """Printed name of an input or an operation."""
    return input_label(name) if name in INPUTS else primitive_label(name)


PITCH = 0.092
"""Height of one choice. This and all below in inches."""
TOP, HEADING, TITLE, AXIS, BOTTOM = 0.28, 0.24, 0.17, 0.34, 0.6
"""Heights of the figure's title, a cell's heading, a panel's title, an axis and the colour bar."""
NODE, LABELS, GAP, RIGHT = 0.2, 0.56, 0.08, 0.1
"""Widths of the names of nodes and of choices, between panels, and on the right."""


def _lefts(columns: list[tuple[str, int]]) -> tuple[list[float], float]:
    """Left edges of the columns, and their width; the first column of each kind has room for labels."""
    rooms = [LABELS if i == 0 or columns[i - 1][0] != kind else GAP for i, (kind, _) in enumerate(columns)]
    rooms[0] += NODE
    width = (DOUBLE - RIGHT - sum(rooms)) / len(columns)
    return [sum(rooms[: i + 1]) + i * width for i in range(len(columns))], width


def plot_choice(axes: Axes, curves: pd.DataFrame, highest: float, labelled: bool) -> None:
    """One choice as a heat map; the most probable at the end is written above."""
    first, last = curves.index[0] - 0.5, curves.index[-1] + 0.5
    axes.imshow(curves.T, aspect="auto", interpolation="nearest", cmap=COLOURS, vmin=0, vmax=highest,
        extent=(first, last, len(curves.columns) - 0.5, -0.5),
    )  # fmt: skip
    final = curves.iloc[-1]
    axes.set_title(f"{choice_label(final.idxmax())} {final.max():.2f}", fontsize=7, loc="right", pad=2, y=1.0)
    axes.grid(False)
    axes.spines[:].set_visible(True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
    axes.tick_params(labelbottom=False)
    labels = [choice_label(name) if labelled else "" for name in curves.columns]
    axes.set_yticks(range(len(labels)), labels)
    axes.tick_params(axis="y", length=0, pad=2, labelsize=6.5)


def _heading(cell: str, node: int, slot: int, kind: str) -> str:
    """The slot and what is chosen there; of an edge, where it leads from, and to where its row does not tell."""
    if kind:
        return f"{kind} {slot}"
    return f"{slot} → {node}" if cell == CELL else input_label(input_name(slot))


def _plot_cell(figure: Figure, slots: Slots, top: float, highest: float) -> float:
    """The panels of one cell, whose heading is at `top` inches; returns the height below them."""
    columns = sorted({(kind, slot) for _, _, slot, kind in slots}, key=lambda c: (KINDS.index(c[0]), c[1]))
    lefts, width = _lefts(columns)
    edges, total, cell = {kind for kind, _ in columns} == {"operation"}, figure.get_figheight(), next(iter(slots))[0]
    last = {column: max(node for _, node, slot, kind in slots if (kind, slot) == column) for column in columns}
    for node in dict.fromkeys(node for _, node, *_ in slots):
        row = {(kind, slot): curves for (_, n, slot, kind), curves in slots.items() if n == node}
        height = PITCH * max(len(curves.columns) for curves in row.values())
        top -= TITLE + height
        for i, column in enumerate(columns):
            if column not in row:
                continue
            # Panels hang from the upper edge of their row, so that choices of several panels have one height.
            curves, used = row[column], PITCH * len(row[column].columns)
            axes = figure.add_axes((lefts[i] / DOUBLE, (top + height - used) / total, width / DOUBLE, used / total))
            first = i == 0 or columns[i - 1][0] != column[0]
            plot_choice(axes, curves, highest, labelled=first)
            heading = _heading(cell, node, column[1], "" if edges else column[0])
            axes.set_title(heading, fontsize=7, loc="left", pad=2, y=1.0, color=GREY)
            if i == 0:
                middle = (top + height / 2) / total
                figure.text(0.08 / DOUBLE, middle, f"node {node}", fontsize=7, rotation=90, va="center", ha="left")
            if node == last[column]:
                axes.tick_params(labelbottom=True)
                axes.set_xlabel("Epoch", labelpad=1)
    return top


def _legend(figure: Figure, highest: float, rows: pd.DataFrame) -> None:
    """The colour scale, and what rows and columns are."""
    total = figure.get_figheight()
    axes = figure.add_axes((0.2 / DOUBLE, 0.36 / total, 1.6 / DOUBLE, 0.09 / total))
    scale = ScalarMappable(Normalize(0, highest), COLOURS)
    figure.colorbar(scale, cax=axes, orientation="horizontal", ticks=MaxNLocator(5), label="Probability")
    text = "Above each panel: the most probable choice after the last epoch, and its probability.\nRows: nodes. "
    slots = "A node has two slots, each with an input and an operation."
    text += "Columns: edges into them." if set(rows["factor"]) == {"operation"} else slots
    figure.text(2.1 / DOUBLE, 0.36 / total, text, fontsize=7, va="center")


def plot_pi(inputs: list[Path]) -> Drawing:
    """One run folder → probability of every choice over epochs; rows are nodes, columns slots and factors.

    Where every edge chooses its operation and nothing else, columns are the sources of the edges.
    """
    if len(inputs) != 1:
        raise UserError(f"the figure pi shows one run, got {len(inputs)}; give one run folder")
    rows = read_trajectory(inputs[0])
    slots: Slots = {
        key: slot.pivot(index="epoch", columns="choice", values="probability")[slot["choice"].unique()]
        for key, slot in rows.groupby(["cell", "node", "slot", "factor"], sort=False)
    }
    # One colour scale for all panels, up to the next tenth.
    highest = math.ceil(10 * float(rows["probability"].max()) - 1e-9) / 10
    cells = {
        cell: {key: curves for key, curves in slots.items() if key[0] == cell} for cell in dict.fromkeys(rows["cell"])
    }
    figure = Figure(figsize=(DOUBLE, sum(map(_height, cells.values())) + TOP + BOTTOM))
    top = total = figure.get_figheight()
    figure.text(0.1 / DOUBLE, 1 - 0.2 / total, f"Probabilities over time: {run_title(inputs[0])}", fontsize=8)
    top -= TOP
    for cell, members in cells.items():
        top -= HEADING
        figure.text(0.1 / DOUBLE, (top + 0.06) / total, NAMES[cell], fontsize=8, fontweight="bold")
        top = _plot_cell(figure, members, top, highest) - AXIS
    _legend(figure, highest, rows)
    return Drawing(figure, rows)


def _height(slots: Slots) -> float:
    """Inches that a cell takes, its heading and its lowest axis included."""
    nodes = dict.fromkeys(node for _, node, *_ in slots)
    height = HEADING + AXIS
    for node in nodes:
        height += TITLE + PITCH * max(len(curves.columns) for (_, n, *_), curves in slots.items() if n == node)
    return height
