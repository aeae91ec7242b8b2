"""Figure: the normal and the reduction cell of a genotype as directed graphs."""

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from parsec.errors import UserError
from parsec.report.figures import benchmark_cell
from parsec.report.figures.arcs import RADIUS, Arc, label_places, route
from parsec.report.figures.choices import input_label
from parsec.report.figures.graph import draw_arc, draw_label, reach
from parsec.report.figures.operations import NAMES
from parsec.report.figures.palette import GREY
from parsec.report.figures.style import DOUBLE, Drawing
from parsec.space.darts import NODES, input_name
from parsec.space.genotype import Cell, Genotype
from parsec.space.nasbench201 import Architecture
from parsec.space.published import of_any_space

SCALE = 1.03
"""Inches between neighbours."""
TITLE = 0.25
OUTPUT = NODES + 2
PALE = "#F1F1F1"


def _draw_node(axes: Axes, position: int) -> None:
    given = position < 2
    axes.add_patch(
        Circle((position, 0), RADIUS, facecolor="white" if given else "#D9E6F2", edgecolor="black", zorder=5)
    )
    label = input_label(input_name(position)) if given else str(position - 2)
    axes.text(position, 0, label, ha="center", va="center", fontsize=7 if given else 8, zorder=6)


def _draw_output(axes: Axes) -> None:
    """The output concatenates all nodes: a band around them and one arrow."""
    width = NODES - 1 + 2 * RADIUS + 0.16
    style = "round,pad=0,rounding_size=0.12"
    box: dict[str, Any] = {"boxstyle": style, "facecolor": PALE, "edgecolor": "none", "zorder": 0}
    axes.add_patch(FancyBboxPatch((2 - RADIUS - 0.08, -RADIUS - 0.08), width, 2 * RADIUS + 0.16, **box))
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "color": GREY, "linewidth": 1.2}
    axes.add_patch(FancyArrowPatch((OUTPUT - 1 + RADIUS + 0.08, 0), (OUTPUT - 0.35, 0), shrinkA=0, shrinkB=0, **look))
    axes.text(OUTPUT - 0.32, 0, "$c_k$: concat", ha="left", va="center", fontsize=7)


def _draw_cell(axes: Axes, arcs: list[Arc], name: str) -> None:
    for arc, place in zip(arcs, label_places(arcs), strict=True):
        draw_arc(axes, arc)
        draw_label(axes, arc, place)
    for position in range(OUTPUT):
        _draw_node(axes, position)
    _draw_output(axes)
    below, above = reach(arcs)
    axes.set(xlim=(-0.25, DOUBLE / SCALE - 0.25), ylim=(-below, above))
    axes.set_title(NAMES[name], loc="left", x=0.01)
    axes.axis("off")


def _edges(cells: dict[str, Cell]) -> pd.DataFrame:
    edges = [
        (name, node, slot, input_name(edge.input), edge.primitive)
        for name, cell in cells.items()
        for node, edges in enumerate(cell)
        for slot, edge in enumerate(edges)
    ]
    return pd.DataFrame(edges, columns=["cell", "node", "slot", "input", "primitive"])


def draw(inputs: list[Path]) -> Drawing:
    """One genotype.json → its cells; of DARTS, arcs above and below are the two slots of a node in either order.

    Raises:
        UserError: not exactly one genotype.
        GenotypeError: the file holds no genotype of the space.
    """
    if len(inputs) != 1:
        raise UserError(f"the figure cells shows one genotype, got {len(inputs)}; give one genotype.json")
    found = of_any_space(str(inputs[0]))
    if isinstance(found, Architecture):
        return benchmark_cell.draw_architecture(found)
    assert isinstance(found, Genotype)
    cells = found._asdict()
    routed = {name: route(cell) for name, cell in cells.items()}
    heights = {name: SCALE * sum(reach(arcs)) for name, arcs in routed.items()}
    total = sum(heights.values()) + TITLE * len(heights)
    figure, top = Figure(figsize=(DOUBLE, total)), total
    for name, arcs in routed.items():
        top -= TITLE + heights[name]
        _draw_cell(figure.add_axes((0, top / total, 1, heights[name] / total)), arcs, name)
    return Drawing(figure, _edges(cells))
