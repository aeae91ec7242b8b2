"""Small panels of π over time: how one categorical choice is drawn and named."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from parsec.report.figures.curves import epoch_axis
from parsec.report.figures.style import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    VERMILLION,
    Line,
    every,
    primitive_label,
    primitive_line,
)
from parsec.space.darts import NODES, input_name
from parsec.space.factors import SEPARATOR

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
"""By cell, node, slot and factor: probabilities, one row an epoch, one column a choice."""


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


def draw_choice(axes: Axes, curves: pd.DataFrame) -> None:
    """All curves of one choice; the most probable at the end is written above."""
    for name, values in curves.items():
        axes.plot(values.index, values, **_look(name, values))
    last = curves.iloc[-1]
    axes.set_title(f"{choice_label(last.idxmax())}  {last.max():.2f}", fontsize=7, loc="right", pad=2, y=1.0)
    epoch_axis(axes, labelled=False)
    axes.set_ylim(-0.03, 1.03)
    axes.set_yticks([0, 0.5, 1], ["0", "", "1"])
    axes.tick_params(labelbottom=False, labelleft=False)
