"""One look for all figures: type, lines, sizes, names beside points, and files whose bytes depend on the data only."""

import io
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from parsec.report.methods import BLACK, BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, Dash, Line
from parsec.runtime.outputs import AUTHOR, write_outputs

SERIES = (
    Line(BLUE, "-", "o"),
    Line(VERMILLION, "-", "s"),
    Line(GREEN, "-", "^"),
    Line(PURPLE, "-", "D"),
    Line(ORANGE, "-", "v"),
    Line(SKY, "-", "P"),
    Line(BLACK, "-", "X"),
)
"""Members of a group that are no methods; after seven they come again with other dashes."""
ROUNDS: tuple[Dash, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)))

PRIMITIVES = {
    "skip_connect": Line(BLACK, "-", ""),
    "sep_conv_3x3": Line(BLUE, "-", ""),
    "sep_conv_5x5": Line(SKY, "-", "o"),
    "dil_conv_3x3": Line(GREEN, (0, (5, 1.5)), ""),
    "dil_conv_5x5": Line(PURPLE, (0, (5, 1.5)), "s"),
    "max_pool_3x3": Line(VERMILLION, (0, (1, 1)), ""),
    "avg_pool_3x3": Line(ORANGE, (0, (1, 1)), "^"),
    "none": Line(GREY, (0, (5, 1.5)), ""),
    "nor_conv_1x1": Line(GREEN, (0, (5, 1.5)), ""),
    "nor_conv_3x3": Line(BLUE, "-", ""),
}
"""Of DARTS, then those that only NAS-Bench-201 has; lines differ within each space."""
SHORT = {
    "none": "none",
    "skip_connect": "skip",
    "nor_conv": "conv",
    "sep_conv": "sep",
    "dil_conv": "dil",
    "max_pool": "max",
    "avg_pool": "avg",
}


def series(index: int) -> Line:
    """Line of the member number `index` of a group."""
    turn, i = divmod(index, len(SERIES))
    return SERIES[i]._replace(dash=ROUNDS[turn % len(ROUNDS)])


def primitive_lines(names: Iterable[str]) -> dict[str, Line]:
    """Line of every primitive of a space; those that this palette does not know take its series in their order."""
    unknown = itertools.count()
    return {name: PRIMITIVES.get(name) or series(next(unknown)) for name in names}


def primitive_label(name: str) -> str:
    """Short printed name: `sep 3×3`."""
    kind, _, size = name.rpartition("_")
    short = SHORT.get(name) or f"{SHORT.get(kind, kind)} {size}".strip()
    return re.sub(r"(?<=\d)x(?=\d)", "×", short)


SINGLE, DOUBLE = 3.3, 6.8
"""Width of a figure of one and of two columns, inches."""

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.axisbelow": True,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.minor.width": 0.4,
    "ytick.minor.width": 0.4,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.2,
    "lines.markersize": 3.5,
    "axes.grid": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.5,
    "figure.dpi": 100,
    "savefig.dpi": 200,
    "pdf.fonttype": 42,
    "svg.fonttype": "path",
    "svg.hashsalt": "parsec",
}
METADATA: dict[str, dict[str, str | None]] = {
    "svg": {"Date": None, "Creator": AUTHOR},
    "pdf": {"CreationDate": None, "Creator": AUTHOR},
    "png": {"Software": AUTHOR},
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure (inches) that makes room for its labels by itself."""
    return Figure(figsize=(width, height), layout="constrained")


def every(count: int, markers: int = 6) -> int:
    """Distance between markers so that about `markers` are seen."""
    return max(1, count // markers)


def from_zero(panels: Sequence[Axes]) -> None:
    """One vertical axis for panels already drawn, from 0 to a little above all that they show."""
    top = max(axes.dataLim.ymax for axes in panels)
    for axes in panels:
        axes.set_ylim(0, 1.06 * top)


COLUMNS = 5
"""Panels side by side, at most."""
PAGE, LOWEST = 8.2, 0.75
"""Inches that all rows of panels may take, beside the legend, and that a row takes at least."""
CHARACTER = 0.058
"""Mean width of a character of the legend, inches."""


def facets(blocks: Sequence[int], height: float, columns: int = COLUMNS) -> tuple[Figure, list[list[Axes]]]:
    """Small multiples: blocks of the given numbers of panels, one below the other, in rows of up to `columns`.

    Panels of a block share the vertical axis; only the first of a row names it. A row has `height` inches, less where
    all rows would not fit a page.
    """
    # As few rows as there can be, and then as few columns.
    largest = max(blocks)
    wide = -(-largest // -(-largest // columns))
    rows = [-(-count // wide) for count in blocks]
    height = max(min(height, PAGE / sum(rows)), LOWEST)
    figure = new_figure(SINGLE if wide == 1 else DOUBLE, 0.3 + height * sum(rows))
    grid, panels, row = figure.add_gridspec(sum(rows), wide), [], 0
    for count, used in zip(blocks, rows, strict=True):
        block: list[Axes] = []
        for i in range(count):
            axes = figure.add_subplot(grid[row + i // wide, i % wide], sharey=block[0] if block else None)
            axes.tick_params(labelleft=i % wide == 0)
            block.append(axes)
        panels.append(block)
        row += used
    return figure, panels


def name_axes(block: Sequence[Axes], vertical: str, horizontal: str) -> None:
    """Name the vertical axis in the first panel of every row, the horizontal one in the last of every column."""
    wide = block[0].get_gridspec().ncols  # type: ignore[union-attr]
    for i, axes in enumerate(block):
        if i % wide == 0:
            axes.set_ylabel(vertical)
        if i + wide >= len(block):
            axes.set_xlabel(horizontal)


def panel_title(axes: Axes, text: str) -> None:
    """A title no wider than its panel, in two lines where it is long."""
    wide = axes.get_gridspec().ncols  # type: ignore[union-attr]
    axes.set_title("\n".join(textwrap.wrap(text, 100 // wide)), fontsize=7.5)


def legend_below(figure: Figure, axes: Iterable[Axes], note: str = "") -> None:
    """One legend under all panels, each label once, and a note above it; the figure grows by its height."""
    entries: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    text = "\n".join(textwrap.wrap(note, int(figure.get_figwidth() / CHARACTER)))
    # Add rows until the legend is no wider than the figure.
    for rows in range(1, max(len(entries), 1) + 1):
        columns = max(math.ceil(len(entries) / rows), 1)
        look: dict[str, Any] = {"loc": "outside lower center", "ncols": columns, "title_fontsize": 7}
        legend = figure.legend(entries.values(), entries.keys(), title=text or None, **look)
        extent = legend.get_window_extent()
        if columns == 1 or extent.width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + extent.height / figure.dpi)
            return
        legend.remove()


class Drawing(NamedTuple):
    """A figure and the numbers that it shows."""

    figure: Figure
    data: pd.DataFrame


def _bytes(figure: Figure, kind: str) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=METADATA[kind])
    return buffer.getvalue()


def as_files(draw: Callable[[list[Path]], Drawing]) -> Callable[[list[Path], Path], None]:
    """Make a drawing function write `<output>.svg`, `.pdf`, `.png` and `.csv` in the common style."""

    @wraps(draw)
    def write(inputs: list[Path], output: Path) -> None:
        with matplotlib.rc_context():
            matplotlib.rcdefaults()
            matplotlib.rcParams.update(STYLE)
            figure, data = draw([Path(path) for path in inputs])
            if figure.get_layout_engine():  # laid out once, so that the formats agree and take less time
                figure.draw_without_rendering()
                figure.set_layout_engine(None)
            files: dict[str, bytes | str] = {kind: _bytes(figure, kind) for kind in METADATA}
        files["csv"] = data.to_csv(index=False)
        write_outputs({output.with_name(f"{output.name}.{kind}"): content for kind, content in files.items()})

    return write


class Label(NamedTuple):
    """A text, and the point that it names with the lengths of its error bar, in data coordinates."""

    x: float
    y: float
    text: str
    colour: str = "black"
    below: float = 0.0
    above: float = 0.0


Boxes = NDArray[np.float64]
"""Left, lower, right and upper edges in pixels, [..., 4]."""
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (1, -1), (-1, 1), (-1, -1))
"""Directions in which a name may lie, the better ones first."""
DISTANCES = (5, 9, 14, 20, 27, 35, 44, 54)
NEAR = 10
"""Distances tried, and from which on a thin line leads to the point, in typographic points."""
FAR, UNCLEAR = 2.5, 60.0
"""Pixels of overlap that are as bad as a point of distance, and as a place nearer to another point."""
MARK = 3.5
"""Half the size of a point's marker."""


def place_labels(axes: Axes, labels: Sequence[Label], size: float = 7) -> None:
    """Write each name where it overlaps least: greedily, in the given order, next to its point or further off.

    The layout of the figure and the limits of the axes must be final.
    """
    figure: Any = axes.figure
    figure.draw_without_rendering()
    point = figure.dpi / 72
    centres = [axes.transData.transform((label.x, label.y)) for label in labels]
    marks = np.array([_mark_box(axes, label, MARK * point) for label in labels]).reshape(-1, 4)
    taken, inside = marks, np.array([axes.bbox.extents])
    for label, centre, mark in zip(labels, centres, marks, strict=True):
        text = axes.annotate(label.text, (label.x, label.y), (0, 0), textcoords="offset points", fontsize=size)
        extent = text.get_window_extent()
        text.remove()
        # Names above and below begin at the end of the error bar.
        up, down = (float(length) / point - MARK for length in (mark[3] - centre[1], centre[1] - mark[1]))
        spots = list(itertools.product(DISTANCES, SIDES))
        offsets = [(dx * d, dy * (d + (up if dy > 0 else down) * (dx == 0))) for d, (dx, dy) in spots]
        boxes = [
            _text_box(centre, (dx * point, dy * point), (extent.width + 2 * point, extent.height)) for dx, dy in offsets
        ]
        # A spot costs what it covers of other names and marks, ten times what leaves the axes, and its distance, with a
        # penalty where another point is nearer to the name than its own.
        covers = [np.vstack([box, _leader(centre, mark, box)]) for box in boxes]
        outside = [extent.width * extent.height - _shared(box[None], inside) for box in boxes]
        unclear = [bool((_gaps(box, marks) < _gaps(box, mark[None])).any()) for box in boxes]
        far = [FAR * distance + UNCLEAR * other for (distance, _), other in zip(spots, unclear, strict=True)]
        costs = [_shared(cover, taken) + 10 * out + d for cover, out, d in zip(covers, outside, far, strict=True)]
        best = int(np.argmin(costs))
        taken = np.vstack([taken, covers[best]])
        _write_label(axes, label, offsets[best], size, leader=spots[best][0] >= NEAR)


def _mark_box(axes: Axes, label: Label, half: float) -> Boxes:
    """What a point and its error bar cover."""
    (x, low), (_, high) = (axes.transData.transform((label.x, label.y + s)) for s in (-label.below, label.above))
    return np.array([x - half, low - half, x + half, high + half])


def _text_box(centre: Boxes, offset: tuple[float, float], size: tuple[float, float]) -> Boxes:
    """A text at an offset from a point, aligned towards it, as `_write_label` does it."""
    corner = centre + np.array(offset) + (np.sign(offset) - 1) / 2 * size
    return np.concatenate([corner, corner + size])


def _leader(centre: Boxes, mark: Boxes, box: Boxes) -> Boxes:
    """Small squares along the line from a point to its name, without its ends."""
    t = np.linspace(0, 1, 16)[:, None]
    line = (1 - t) * centre + t * (box[:2] + box[2:]) / 2
    within = [((line > each[:2]) & (line < each[2:])).all(axis=1) for each in (mark, box)]
    line = line[~within[0] & ~within[1]]
    return np.hstack([line - 1.5, line + 1.5])


def _gaps(box: Boxes, marks: Boxes) -> Boxes:
    """Distances between a box and marks, 0 where they overlap."""
    apart = np.maximum(box[:2] - marks[:, 2:], marks[:, :2] - box[2:])
    return np.asarray(np.hypot(*np.clip(apart, 0, None).T))


def _shared(some: Boxes, others: Boxes) -> float:
    """Area, in pixels, that boxes share with others."""
    low = np.maximum(some[:, None, :2], others[None, :, :2])
    high = np.minimum(some[:, None, 2:], others[None, :, 2:])
    return float(np.clip(high - low, 0, None).prod(axis=2).sum())


def _write_label(axes: Axes, label: Label, offset: tuple[float, float], size: float, leader: bool) -> None:
    dx, dy = offset
    sides = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}
    across, up = sides[(dx > 0) - (dx < 0)][0], sides[(dy > 0) - (dy < 0)][1]
    lead: dict[str, Any] = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 0.5, "shrinkB": 2}
    text = axes.annotate(label.text, (label.x, label.y), offset, textcoords="offset points", fontsize=size,
        color=label.colour, ha=across, va=up, zorder=5, arrowprops=lead if leader else None,
    )  # fmt: skip
    text.set_in_layout(False)
