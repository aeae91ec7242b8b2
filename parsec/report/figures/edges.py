"""π over time where every edge of a cell chooses its operation: rows are nodes, columns the sources of the edges."""

from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from parsec.report.figures.choices import Slots, draw_choice, input_label
from parsec.report.figures.operations import NAMES
from parsec.report.figures.palette import GREY, primitive_label, primitive_line
from parsec.report.figures.style import DOUBLE
from parsec.space.darts import input_name
from parsec.space.nasbench201_factors import CELL

ROW, HEADING, AXIS, LEGEND = 0.78, 0.5, 0.3, 0.72
"""Height of a row of panels, of what stands above a cell's rows, of an axis' labels between cells, and of what stands
below the last row, inches."""
LEFT, RIGHT = 0.42, 0.08


def draw_edges(slots: Slots) -> Figure:
    """A grid of panels for every cell; a node has as many panels as edges lead to it."""
    cells = {cell: sorted({node for each, node, *_ in slots if each == cell}) for cell, *_ in slots}
    height = LEGEND + (len(cells) - 1) * AXIS + sum(HEADING + ROW * len(nodes) for nodes in cells.values())
    figure, top = Figure(figsize=(DOUBLE, height)), height
    for cell, nodes in cells.items():
        top -= HEADING
        _draw_cell(figure, {key: curves for key, curves in slots.items() if key[0] == cell}, nodes, top)
        figure.text(0.06 / DOUBLE, (top + 0.32) / height, NAMES[cell], fontsize=8.5, fontweight="bold")
        top -= ROW * len(nodes) + AXIS
    _legend(figure, slots)
    return figure


def _draw_cell(figure: Figure, slots: Slots, nodes: list[int], top: float) -> None:
    """Panels whose upper edge is at `top` inches; where no edge leads there is none."""
    height, columns = figure.get_figheight(), 1 + max(slot for _, _, slot, _ in slots)
    ends = {"left": LEFT / DOUBLE, "right": 1 - RIGHT / DOUBLE, "top": top / height}
    places = figure.add_gridspec(
        len(nodes), columns, bottom=(top - ROW * len(nodes) + 0.05) / height, hspace=0.42, wspace=0.09, **ends
    )
    last = {slot: max(node for _, node, other, _ in slots if other == slot) for _, _, slot, _ in slots}
    for (cell, node, slot, _), curves in slots.items():
        axes = figure.add_subplot(places[nodes.index(node), slot])
        draw_choice(axes, curves)
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


def _legend(figure: Figure, slots: Slots) -> None:
    names = dict.fromkeys(name for curves in slots.values() for name in curves)
    handles = [Line2D([], [], label=primitive_label(n), markersize=3, **primitive_line(n).plot()) for n in names]
    look: dict[str, Any] = {"ncols": len(handles), "columnspacing": 1.2, "handlelength": 2.2}
    figure.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 0.02), **look)
