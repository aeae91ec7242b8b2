"""Figure: π over time, one small panel per categorical choice."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from parsec.errors import UserError
from parsec.report.figures.curves import epoch_axis
from parsec.report.figures.operations import NAMES
from parsec.report.figures.style import (
    BLACK,
    BLUE,
    DOUBLE,
    GREEN,
    GREY,
    ORANGE,
    PRIMITIVES,
    VERMILLION,
    Drawing,
    Line,
    every,
    primitive_label,
    primitive_line,
)
from parsec.report.inputs import read_trajectory
from parsec.space.darts import NODES, SLOTS, input_name
from parsec.space.factors import SEPARATOR
from parsec.space.nasbench201 import CELL

DASH = (0, (5, 1.5))
INPUTS = dict(
    zip(
        (input_name(index) for index in range(NODES + 1)),
        (
            Line(BLACK, "-", ""),
            Line(VERMILLION, "-", "o"),
            Line(BLUE, DASH, ""),
            Line(GREEN, (0, (1, 1)), ""),
            Line(ORANGE, DASH, "^"),
        ),
        strict=True,
    )
)
FAINT = 0.1
"""A joint choice that never gets this probable is drawn as a thin grey line."""

Slots = dict[tuple[str, int, int, str], pd.DataFrame]
"""By cell, node, slot and factor: probabilities, one row per epoch, one column per choice."""


def input_label(name: str) -> str:
    """Printed name of an input: the cells before in mathematics, nodes as text."""
    return f"${name}$" if name.startswith("c_") else name.replace("_", " ")


def choice_label(name: str) -> str:
    """Printed name of an input, an operation, or a pair of both."""
    if SEPARATOR in name:
        source, primitive = name.split(SEPARATOR)
        return f"{input_label(source)}, {primitive_label(primitive)}"
    return input_label(name) if name in INPUTS else primitive_label(name)


def by_slot(rows: pd.DataFrame) -> Slots:
    """The rows of a trajectory as curves."""
    slots = rows.groupby(["cell", "node", "slot", "factor"], sort=False)
    return {
        key: slot.pivot(index="epoch", columns="choice", values="probability")[slot["choice"].unique()]
        for key, slot in slots
    }


def _look(name: str, values: "pd.Series[float]") -> dict[str, Any]:
    if SEPARATOR in name and values.max() < FAINT:
        return {"color": GREY, "linewidth": 0.4, "alpha": 0.5}
    line = INPUTS.get(name) or primitive_line(name.split(SEPARATOR)[-1])
    return line.plot() | {"markevery": every(len(values), 4), "markersize": 2.5, "linewidth": 1.0}


def plot_choice(axes: Axes, curves: pd.DataFrame) -> None:
    """All curves of one choice; the most probable at the end is written above."""
    for name, values in curves.items():
        axes.plot(values.index, values, **_look(name, values))
    last = curves.iloc[-1]
    axes.set_title(f"{choice_label(last.idxmax())}  {last.max():.2f}", fontsize=7, loc="right", pad=2, y=1.0)
    epoch_axis(axes, labelled=False)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axes.tick_params(labelbottom=False, labelleft=False)


ROW, HEADING, AXIS, LEGEND = 0.78, 0.5, 0.3, 0.72
"""Height of a row of panels, of what stands above a cell's rows, of an axis' labels between cells, and of what stands
below the last row, inches."""
EDGES_LEFT, EDGES_RIGHT = 0.42, 0.08


def plot_edges(slots: Slots) -> Figure:
    """A grid of panels for every cell; a node has as many panels as edges lead to it."""
    cells = {cell: sorted({node for each, node, *_ in slots if each == cell}) for cell, *_ in slots}
    height = LEGEND + (len(cells) - 1) * AXIS + sum(HEADING + ROW * len(nodes) for nodes in cells.values())
    figure, top = Figure(figsize=(DOUBLE, height)), height
    for cell, nodes in cells.items():
        top -= HEADING
        _plot_edges(figure, {key: curves for key, curves in slots.items() if key[0] == cell}, nodes, top)
        figure.text(0.06 / DOUBLE, (top + 0.32) / height, NAMES[cell], fontsize=8.5, fontweight="bold")
        top -= ROW * len(nodes) + AXIS
    _edges_legend(figure, slots)
    return figure


def _plot_edges(figure: Figure, slots: Slots, nodes: list[int], top: float) -> None:
    """Panels whose upper edge is at `top` inches; where no edge leads there is none."""
    height, columns = figure.get_figheight(), 1 + max(slot for _, _, slot, _ in slots)
    ends = {"left": EDGES_LEFT / DOUBLE, "right": 1 - EDGES_RIGHT / DOUBLE, "top": top / height}
    grid = figure.add_gridspec(
        len(nodes), columns, bottom=(top - ROW * len(nodes) + 0.05) / height, hspace=0.42, wspace=0.09, **ends
    )
    # The lowest panel of a column has the epoch axis.
    last = {slot: max(node for _, node, other, _ in slots if other == slot) for _, _, slot, _ in slots}
    for (cell, node, slot, _), curves in slots.items():
        axes = figure.add_subplot(grid[nodes.index(node), slot])
        plot_choice(axes, curves)
        heading = _heading(cell, slot, node)
        axes.annotate(heading, (0, 1), (0, 2), "axes fraction", textcoords="offset points", fontsize=7, color=GREY)
        if slot == 0:
            axes.set_ylabel(f"node {node}")
            axes.tick_params(labelleft=True)
        if node == last[slot]:
            axes.tick_params(labelbottom=True)
            axes.set_xlabel("Epoch")


def _heading(cell: str, source: int, node: int) -> str:
    """Where an edge leads from, and to where its row does not tell; DARTS' cells have inputs with names."""
    return f"{source} → {node}" if cell == CELL else input_label(input_name(source))


def _edges_legend(figure: Figure, slots: Slots) -> None:
    names = dict.fromkeys(name for curves in slots.values() for name in curves)
    handles = [Line2D([], [], label=primitive_label(n), markersize=3, **primitive_line(n).plot()) for n in names]
    look: dict[str, Any] = {"ncols": len(handles), "columnspacing": 1.2, "handlelength": 2.2}
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.02), **look)


KINDS = ("input", "operation", "joint")
TALL, GRID, LEFT, RIGHT = 8.4, 3.1, 0.42, 0.08
"""Height of the figure and of a cell's panels, and margins beside them, inches."""
BOTTOMS = {"normal": 4.8, "reduce": 0.75}


def _plot_cell(figure: Figure, cell: str, bottom: float, slots: Slots, kinds: list[str]) -> None:
    """A grid of panels whose lower edge is at `bottom` inches."""
    columns = [(slot, kind) for slot in range(SLOTS) for kind in kinds]
    ends = {"bottom": bottom / TALL, "top": (bottom + GRID) / TALL, "left": LEFT / DOUBLE, "right": 1 - RIGHT / DOUBLE}
    # Axes that share nothing draw in half the time; their limits are the same anyway.
    grid = figure.add_gridspec(NODES, len(columns), hspace=0.36, wspace=0.09, **ends).subplots(squeeze=False)
    for node in range(NODES):
        for axes, (slot, kind) in zip(grid[node], columns, strict=True):
            plot_choice(axes, slots[cell, node, slot, kind])
        grid[node, 0].set_ylabel(f"node {node}")
        grid[node, 0].tick_params(labelleft=True)
    for axes, (slot, kind) in zip(grid[0], columns, strict=True):
        heading = f"slot {slot}, {kind if kind != 'joint' else 'input and operation'}"
        axes.annotate(heading, (0, 1), (0, 12), "axes fraction", textcoords="offset points", fontsize=7, color=GREY)
    for axes in grid[-1]:
        axes.tick_params(labelbottom=True)
        axes.set_xlabel("Epoch")
    figure.text(0.06 / DOUBLE, (bottom + GRID + 0.32) / TALL, NAMES[cell], fontsize=8.5, fontweight="bold")


def _legend(figure: Figure, kinds: list[str]) -> None:
    """A row for operations and, where they are chosen apart, one for inputs: some lines of both look alike."""
    lines = {"operation": {primitive_label(name): line for name, line in PRIMITIVES.items()}}
    if "input" in kinds:
        lines["input"] = {input_label(name): line for name, line in INPUTS.items()}
    for row, (kind, looks) in enumerate(lines.items()):
        handles = [Line2D([], [], label=label, markersize=3, **line.plot()) for label, line in looks.items()]
        handles.insert(0, Line2D([], [], linestyle="", label=f"{kind}:"))
        look: dict[str, Any] = {"ncols": len(handles), "columnspacing": 1.2, "handlelength": 2.2}
        figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.16 * row / TALL), **look)


def plot_pi(inputs: list[Path]) -> Drawing:
    """One run folder → probability of every choice over epochs; rows are nodes, columns slots and factors.

    Where every edge chooses its operation and nothing else, columns are the sources of the edges.

    Raises:
        UserError: not exactly one run folder, or a damaged trajectory.
    """
    if len(inputs) != 1:
        raise UserError(f"the figure pi shows one run, got {len(inputs)}; give one run folder")
    rows = read_trajectory(inputs[0])
    slots, kinds = by_slot(rows), [kind for kind in KINDS if kind in set(rows["factor"])]
    if kinds == ["operation"]:
        return Drawing(plot_edges(slots), rows)
    figure = Figure(figsize=(DOUBLE, TALL))
    for cell, bottom in BOTTOMS.items():
        _plot_cell(figure, cell, bottom, slots, kinds)
    _legend(figure, kinds)
    return Drawing(figure, rows)
