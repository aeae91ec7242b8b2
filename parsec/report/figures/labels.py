"""Names next to points, so that none covers another or a point."""

from collections.abc import Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from parsec.report.methods import GREY


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
    places = [axes.transData.transform((label.x, label.y)) for label in labels]
    marks = np.array([_mark(axes, label, MARK * point) for label in labels]).reshape(-1, 4)
    taken, inside = marks, np.array([axes.bbox.extents])
    for label, place, mark in zip(labels, places, marks, strict=True):
        text = axes.annotate(label.text, (label.x, label.y), (0, 0), textcoords="offset points", fontsize=size)
        extent = text.get_window_extent()
        text.remove()
        # Names above and below begin at the end of the error bar.
        up, down = (float(length) / point - MARK for length in (mark[3] - place[1], place[1] - mark[1]))
        spots = list(product(DISTANCES, SIDES))
        offsets = [(dx * d, dy * (d + (up if dy > 0 else down) * (dx == 0))) for d, (dx, dy) in spots]
        boxes = [_box(place, (dx * point, dy * point), (extent.width + 2 * point, extent.height)) for dx, dy in offsets]
        covers = [np.vstack([box, _leader(place, mark, box)]) for box in boxes]
        outside = [extent.width * extent.height - _shared(box[None], inside) for box in boxes]
        unclear = [bool((_gaps(box, marks) < _gaps(box, mark[None])).any()) for box in boxes]
        far = [FAR * distance + UNCLEAR * other for (distance, _), other in zip(spots, unclear, strict=True)]
        costs = [_shared(cover, taken) + 10 * out + d for cover, out, d in zip(covers, outside, far, strict=True)]
        best = int(np.argmin(costs))
        taken = np.vstack([taken, covers[best]])
        _write(axes, label, offsets[best], size, leader=spots[best][0] >= NEAR)


def _mark(axes: Axes, label: Label, half: float) -> Boxes:
    """What a point and its error bar cover."""
    (x, low), (_, high) = (axes.transData.transform((label.x, label.y + s)) for s in (-label.below, label.above))
    return np.array([x - half, low - half, x + half, high + half])


def _box(place: Boxes, offset: tuple[float, float], size: tuple[float, float]) -> Boxes:
    """A text at an offset from a point, aligned towards it, as `_write` does it."""
    corner = place + np.array(offset) + (np.sign(offset) - 1) / 2 * size
    return np.concatenate([corner, corner + size])


def _leader(place: Boxes, mark: Boxes, box: Boxes) -> Boxes:
    """Small squares along the line from a point to its name, without its ends."""
    t = np.linspace(0, 1, 16)[:, None]
    line = (1 - t) * place + t * (box[:2] + box[2:]) / 2
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


def _write(axes: Axes, label: Label, offset: tuple[float, float], size: float, leader: bool) -> None:
    dx, dy = offset
    sides = {-1: ("right", "top"), 0: ("center", "center"), 1: ("left", "bottom")}
    across, up = sides[(dx > 0) - (dx < 0)][0], sides[(dy > 0) - (dy < 0)][1]
    lead: dict[str, Any] = {"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 0.5, "shrinkB": 2}
    text = axes.annotate(label.text, (label.x, label.y), offset, textcoords="offset points", fontsize=size,
        color=label.colour, ha=across, va=up, zorder=5, arrowprops=lead if leader else None,
    )  # fmt: skip
    text.set_in_layout(False)
