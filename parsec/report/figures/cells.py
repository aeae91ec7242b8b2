"""Figure: the cells of a genotype as directed graphs."""

import textwrap
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Curve
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report.figures.curves import NAMES
from parsec.report.figures.probabilities import input_label
from parsec.report.figures.style import DOUBLE, Drawing, primitive_label, primitive_lines
from parsec.report.inputs import base_method, run_title
from parsec.report.methods import GREY, METHODS, Line, base_of
from parsec.space.darts import NODES, PRIMITIVES, Cell, Genotype, input_name
from parsec.space.published import read_architecture
from parsec.space.spaces import SPACES, Architecture

HEIGHT = 0.2
BASE = 0.08
RADIUS = 0.2
"""Radius of a node, on which arcs start and end."""
FAN, ARRIVES, APART = 0.045, -0.08, 0.075
"""How far beside the middle of a node arcs start, for every longer one beside them, where the longest ends, and how far
before it the next ones, so that every arrowhead shows."""
LABEL = (0.6, 0.19)
"""Width and height that a label takes, its margin included."""

Points = NDArray[np.float64]


class Arc(NamedTuple):
    """One edge: where it starts and ends on the line, its side (1 above, −1 below) and its primitive."""

    source: int
    target: int
    side: int
    primitive: str
    fan: int = 0
    """How many longer arcs leave the same side of the source; they start further left."""
    last: int = 0
    """How many longer arcs arrive at the same side of the target; they end further right."""

    def control(self) -> Points:
        """The four control points of its cubic Bézier curve, 4 × 2."""
        leaves = FAN * self.fan
        arrives = ARRIVES - APART * self.last
        start, end = self.source + leaves, self.target + arrives
        rise = (BASE + HEIGHT * (self.target - self.source)) * self.side
        lean = 0.12 * (end - start)
        first, last = (self.side * (RADIUS**2 - aside**2) ** 0.5 for aside in (leaves, arrives))
        peak = self.side * RADIUS + 4 / 3 * rise
        return np.array([[start, first], [start + lean, peak], [end - lean, peak], [end, last]])

    def at(self, t: float | Points) -> Points:
        """Points of the curve at parameters in [0, 1]."""
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))[:, None]
        # Bernstein form of a cubic Bézier curve.
        a, b, c, d = self.control()
        points: Points = (1 - t) ** 3 * a + 3 * t * (1 - t) ** 2 * b + 3 * t**2 * (1 - t) * c + t**3 * d
        return points


def _arcs(cell: Cell, flipped: tuple[bool, ...]) -> list[Arc]:
    arcs = []
    for node, (edges, flip) in enumerate(zip(cell, flipped, strict=True)):
        for slot, edge in enumerate(edges):
            side = -1 if (slot == 1) != flip else 1
            arcs.append(Arc(edge.input, node + 2, side, edge.primitive))
    return [arc._replace(fan=_longer(arc, arcs)) for arc in arcs]


def _longer(arc: Arc, arcs: list[Arc]) -> int:
    """How many longer arcs leave the same side of its source."""
    return sum((a.source, a.side) == (arc.source, arc.side) and a.target > arc.target for a in arcs)


def _crossings(arcs: list[Arc]) -> int:
    pairs = [(a, b) for a in arcs for b in arcs if a.side == b.side]
    return sum(a.source < b.source < a.target < b.target for a, b in pairs)


def _same_rise(arcs: list[Arc]) -> int:
    """Arcs of one side that start together: they leave their source along each other."""
    return sum(a.side == b.side and a.source == b.source for i, a in enumerate(arcs) for b in arcs[:i])


def route(cell: Cell) -> list[Arc]:
    """The arcs of a cell with the fewest crossings, the first such assignment of sides."""
    choices = [_arcs(cell, flipped) for flipped in product((False, True), repeat=len(cell))]
    return min(choices, key=lambda arcs: (_crossings(arcs), _same_rise(arcs)))


def _hits(centre: Points, arc: Arc, arcs: list[Arc], taken: list[Points]) -> tuple[int, int]:
    """Labels that a label at `centre` would overlap, and points of other arcs that it would cover."""
    size = np.array(LABEL)
    overlaps = sum(bool((abs(other - centre) < size).all()) for other in taken)
    covered = 0
    for other in arcs:
        if other is not arc:
            covered += int((abs(other.at(np.linspace(0, 1, 80)) - centre) < size / 2).all(axis=1).sum())
    return overlaps, covered


def label_places(arcs: list[Arc]) -> list[Points]:
    """Centre of each arc's label, on the arc: where it overlaps no other label and covers least of other arcs."""
    taken: list[Points] = []
    # Candidates from the middle of the arc outwards; the first of the best is taken.
    spots = sorted(np.linspace(0.3, 0.7, 21).tolist(), key=lambda t: abs(t - 0.5))
    for arc in arcs:
        candidates = [arc.at(t)[0] for t in spots]
        taken.append(min(candidates, key=lambda centre: _hits(centre, arc, arcs, taken)))
    return taken


MARGIN = 0.12
"""Above and below a drawn cell, in units of the distance between neighbours."""


def _plot_arcs(axes: Axes, arcs: list[Arc], lines: dict[str, Line]) -> None:
    """Every edge in the line of its primitive, and the primitive's name on it."""
    codes = [Curve.MOVETO, Curve.CURVE4, Curve.CURVE4, Curve.CURVE4]
    for arc, centre in zip(arcs, label_places(arcs), strict=True):
        line, name = lines[arc.primitive], primitive_label(arc.primitive)
        look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "color": line.colour, "linestyle": line.dash}
        axes.add_patch(FancyArrowPatch(path=Curve(arc.control(), codes), linewidth=1.3, zorder=2, **look))
        box = {"boxstyle": "round,pad=0.18", "facecolor": "white", "edgecolor": line.colour, "linewidth": 0.7}
        text = axes.text(centre[0], centre[1], name, ha="center", va="center", fontsize=7, bbox=box, zorder=4)
        text.set_gid("primitive")


def _plot_node(axes: Axes, position: int, label: str, is_end: bool, size: int = 8) -> None:
    """A node as a circle with its name in it; the ends of a cell are white."""
    colour = "white" if is_end else "#D9E6F2"
    axes.add_patch(Circle((position, 0), RADIUS, facecolor=colour, edgecolor="black", zorder=5))
    axes.text(position, 0, label, ha="center", va="center", fontsize=size, zorder=6)


def reach(arcs: list[Arc]) -> tuple[float, float]:
    """How far the drawing reaches below and above the line of nodes."""
    ends = {side: [abs(arc.at(0.5)[0, 1]) for arc in arcs if arc.side == side] for side in (-1, 1)}
    return max([*ends[-1], RADIUS]) + MARGIN, max([*ends[1], RADIUS]) + MARGIN


UNIT, SIDE = 1.28, 0.3
"""Distance between nodes, inches, and what is left beside the first and the last one, in this distance."""
LabelledEdges = list[tuple[int, int, str]]
"""Source, node and operation of every edge of a cell."""


def edge_arcs(edges: LabelledEdges) -> list[Arc]:
    """All edges but those without an operation; longer ones leave a node further to the left."""
    arcs: list[Arc] = []
    # The longest first, each above the line of nodes unless fewer arcs cross below.
    for source, node, operation in sorted(edges, key=lambda edge: (edge[0] - edge[1], edge[0])):
        sides = [Arc(source, node, side, operation) for side in (1, -1)]
        arcs.append(min(sides, key=lambda arc: _crossings([*arcs, arc])))
    drawn = [arc._replace(fan=_longer(arc, arcs)) for arc in arcs if arc.primitive != "none"]
    return [
        arc._replace(last=sum((a.target, a.side) == (arc.target, arc.side) and a.source < arc.source for a in drawn))
        for arc in drawn
    ]


def plot_edges(architecture: Architecture, title: str) -> Drawing:
    """An architecture of one operation per edge → its cell; edges that are `none` are only listed in its numbers."""
    space = SPACES[architecture.as_dict()["space"]]
    choices = zip(space.factors("separate"), space.encode(architecture, "separate"), strict=True)
    # The slot of an edge is the number of its source.
    edges = [(factor.slot, factor.node, factor.choices[index]) for factor, index in choices]
    last, arcs = max(node for _, node, _ in edges), edge_arcs(edges)
    below, above = reach(arcs)
    width = min(DOUBLE, UNIT * (last + 2 * SIDE))
    height = width / (last + 2 * SIDE) * (below + above)
    note = "\nEdges without an operation (none) are not drawn." if "none" in space.primitives else ""
    figure = _titled(width, height, f"{title}{note}")
    axes = figure.add_axes((0, 0, 1, height / figure.get_figheight()))
    _plot_arcs(axes, arcs, primitive_lines(space.primitives))
    for node in range(last + 1):
        _plot_node(axes, node, {0: "in", last: "out"}.get(node, str(node)), node in (0, last))
    axes.set(xlim=(-SIDE, last + SIDE), ylim=(-below, above))
    axes.axis("off")
    numbers = [(node, source, operation) for source, node, operation in edges]
    return Drawing(figure, pd.DataFrame(numbers, columns=["node", "source", "operation"]))


def _titled(width: float, height: float, title: str) -> Figure:
    """A figure with a title above what is drawn, which is `height` inches high."""
    lines = [line for part in title.split("\n") for line in textwrap.wrap(part, int(width / 0.066))]
    total = height + 0.12 + 0.14 * len(lines)
    figure = Figure(figsize=(width, total))
    figure.text(0.1 / width, 1 - 0.06 / total, "\n".join(lines), fontsize=8, va="top", linespacing=1.3)
    return figure


def _title(path: Path) -> str:
    """Which search selected the genotype, and how certain its π was at the end; else the name of the file."""
    document = path.with_name("result.json")
    if not document.is_file():
        return f"Genotype of {path.name}"
    result = read_results([document])[0]
    distribution = METHODS[base_of(result["method"], base_method(result))].distribution
    certain = (
        f"Entropy of the {distribution}: {result['entropy']:.1f} nats." if distribution and "entropy" in result else ""
    )
    return f"Genotype of {run_title(path)}. " + certain.replace("the π", "π")


SCALE = 1.03
"""Inches between neighbours."""
TITLE = 0.25
OUTPUT = NODES + 2
PALE = "#F1F1F1"


def _plot_output(axes: Axes) -> None:
    """The output concatenates all nodes: a band around them and one arrow."""
    width = NODES - 1 + 2 * RADIUS + 0.16
    style = "round,pad=0,rounding_size=0.12"
    box: dict[str, Any] = {"boxstyle": style, "facecolor": PALE, "edgecolor": "none", "zorder": 0}
    axes.add_patch(FancyBboxPatch((2 - RADIUS - 0.08, -RADIUS - 0.08), width, 2 * RADIUS + 0.16, **box))
    look: dict[str, Any] = {"arrowstyle": "-|>", "mutation_scale": 7, "color": GREY, "linewidth": 1.2}
    axes.add_patch(FancyArrowPatch((OUTPUT - 1 + RADIUS + 0.08, 0), (OUTPUT - 0.35, 0), shrinkA=0, shrinkB=0, **look))
    axes.text(OUTPUT - 0.32, 0, "$c_k$: concat", ha="left", va="center", fontsize=7)


def _plot_cell(axes: Axes, arcs: list[Arc], name: str) -> None:
    _plot_arcs(axes, arcs, primitive_lines(PRIMITIVES))
    for position in range(2):
        _plot_node(axes, position, input_label(input_name(position)), is_end=True, size=7)
    for position in range(2, OUTPUT):
        _plot_node(axes, position, str(position - 2), is_end=False)
    _plot_output(axes)
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


def plot_cells(inputs: list[Path]) -> Drawing:
    """One genotype.json → its cells; of DARTS, arcs above and below are the two slots of a node in either order."""
    if len(inputs) != 1:
        raise UserError(f"the figure cells shows one genotype, got {len(inputs)}; give one genotype.json")
    architecture, title = read_architecture(str(inputs[0])), _title(inputs[0])
    if not isinstance(architecture, Genotype):
        return plot_edges(architecture, title)
    cells = architecture._asdict()
    # Cells are drawn below each other, each as high as its arcs need.
    routed = {name: route(cell) for name, cell in cells.items()}
    heights = {name: SCALE * sum(reach(arcs)) for name, arcs in routed.items()}
    figure = _titled(DOUBLE, top := sum(heights.values()) + TITLE * len(heights), title)
    total = figure.get_figheight()
    for name, arcs in routed.items():
        top -= TITLE + heights[name]
        _plot_cell(figure.add_axes((0, top / total, 1, heights[name] / total)), arcs, name)
    return Drawing(figure, _edges(cells))
