"""Drawn edges of a cell: arcs with the names of their primitives on them."""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.path import Path as Curve

from parsec.report.figures.arcs import RADIUS, Arc, Points
from parsec.report.figures.palette import primitive_label, primitive_line

MARGIN = 0.12
"""Above and below a drawn cell, in units of the distance between neighbours."""


def draw_arc(axes: Axes, arc: Arc) -> None:
    """Draw an edge in the line of its primitive."""
    line = primitive_line(arc.primitive)
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "color": line.colour, "linestyle": line.dash}
    axes.add_patch(FancyArrowPatch(path=Curve(arc.control(), codes), linewidth=1.3, zorder=2, **look))


def draw_label(axes: Axes, arc: Arc, place: Points) -> None:
    """Write the primitive's name around a place."""
    colour = primitive_line(arc.primitive).colour
    box = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": colour, "linewidth": 0.7}
    text = axes.text(
        place[0], place[1], primitive_label(arc.primitive), ha="center", va="center", fontsize=7, bbox=box, zorder=4
    )
    text.set_gid("primitive")


def reach(arcs: list[Arc]) -> tuple[float, float]:
    """How far the drawing reaches below and above the line of nodes."""
    ends = {side: [abs(arc.at(0.5)[0, 1]) for arc in arcs if arc.side == side] for side in (-1, 1)}
    return max([*ends[-1], RADIUS]) + MARGIN, max([*ends[1], RADIUS]) + MARGIN
