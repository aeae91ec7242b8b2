"""The cell of NAS-Bench-201 as a directed graph: four nodes on a line and the six edges around it."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from parsec.report.figures.arcs import RADIUS, Arc, label_places
from parsec.report.figures.graph import draw_arc, draw_label, reach
from parsec.report.figures.style import Drawing
from parsec.space.nasbench201 import EDGES, NODES, Architecture

WIDTH, SIDE = 4.6, 0.3
"""Width of the figure, inches, and what is left beside the first and the last node, in the distance between nodes."""
BELOW = {(0, 1), (1, 3)}
"""Edges that run below the line of nodes; so no two cross."""
NAMES = {0: "in", NODES - 1: "out"}


def _arcs(found: Architecture) -> list[Arc]:
    """All edges but those without an operation; longer ones leave a node further to the left."""
    arcs = []
    for (source, node), operation in zip(EDGES, found.operations, strict=True):
        fan = sum(s == source and n > node and ((s, n) in BELOW) == ((source, node) in BELOW) for s, n in EDGES)
        arcs.append(Arc(source, node, -1 if (source, node) in BELOW else 1, operation, fan))
    return [arc for arc in arcs if arc.primitive != "none"]


def _draw_node(axes: Axes, node: int) -> None:
    axes.add_patch(
        Circle((node, 0), RADIUS, facecolor="white" if node in NAMES else "#D9E6F2", edgecolor="black", zorder=5)
    )
    axes.text(node, 0, NAMES.get(node, str(node)), ha="center", va="center", fontsize=8, zorder=6)


def draw_architecture(found: Architecture) -> Drawing:
    """An architecture → its cell; edges that are `none` are not drawn, and stand in its numbers."""
    arcs = _arcs(found)
    below, above = reach(arcs)
    units = NODES - 1 + 2 * SIDE
    figure = Figure(figsize=(WIDTH, WIDTH / units * (below + above)))
    axes = figure.add_axes((0, 0, 1, 1))
    for arc, place in zip(arcs, label_places(arcs), strict=True):
        draw_arc(axes, arc)
        draw_label(axes, arc, place)
    for node in range(NODES):
        _draw_node(axes, node)
    axes.set(xlim=(-SIDE, NODES - 1 + SIDE), ylim=(-below, above))
    axes.axis("off")
    edges = [(node, source, operation) for (source, node), operation in zip(EDGES, found.operations, strict=True)]
    return Drawing(figure, pd.DataFrame(edges, columns=["node", "source", "operation"]))
