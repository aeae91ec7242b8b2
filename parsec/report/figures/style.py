"""One look for all figures: type, lines, sizes, and files whose bytes depend on the data only."""

import io
import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from parsec.runtime.outputs import AUTHOR, write_outputs

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#767676"
"""Okabe and Ito's colours without yellow, which is too pale for a line, and a grey for what is not data."""

Dash = Any
"""Line style of matplotlib: a name, or offset and lengths."""


class Line(NamedTuple):
    """Colour, dash and marker of one kind of line, so that it can be distinguished in grey as well."""

    colour: str
    dash: Dash
    marker: str

    def plot(self) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`."""
        return {"color": self.colour, "linestyle": self.dash, "marker": self.marker}


SERIES = (
    Line(BLUE, "-", "o"),
    Line(VERMILLION, "-", "s"),
    Line(GREEN, "-", "^"),
    Line(PURPLE, "-", "D"),
    Line(ORANGE, "-", "v"),
    Line(SKY, "-", "P"),
    Line(BLACK, "-", "X"),
)
"""Seeds and other members of a group; after seven they come again with other dashes."""
ROUNDS: tuple[Dash, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)))

PRIMITIVES = {
    "skip_connect": Line(BLACK, "-", ""),
    "sep_conv_3x3": Line(BLUE, "-", ""),
    "sep_conv_5x5": Line(SKY, "-", "o"),
    "dil_conv_3x3": Line(GREEN, (0, (5, 1.5)), ""),
    "dil_conv_5x5": Line(PURPLE, (0, (5, 1.5)), "s"),
    "max_pool_3x3": Line(VERMILLION, (0, (1, 1)), ""),
    "avg_pool_3x3": Line(ORANGE, (0, (1, 1)), "^"),
}
NASBENCH201 = {
    "none": Line(GREY, (0, (5, 1.5)), ""),
    "skip_connect": PRIMITIVES["skip_connect"],
    "nor_conv_1x1": Line(GREEN, (0, (5, 1.5)), ""),
    "nor_conv_3x3": Line(BLUE, "-", ""),
    "avg_pool_3x3": PRIMITIVES["avg_pool_3x3"],
}
"""Operations of NAS-Bench-201; those that DARTS has too look as they do there."""
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


def primitive_line(name: str) -> Line:
    """Line of a primitive; grey for one that this palette does not know."""
    return PRIMITIVES.get(name) or NASBENCH201.get(name, Line(GREY, "-", "x"))


def primitive_label(name: str) -> str:
    """Short printed name: `sep 3×3`."""
    kind, _, size = name.rpartition("_")
    return SHORT.get(name) or f"{SHORT.get(kind, kind)} {size.replace('x', '×')}"


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


def legend_below(figure: Figure, axes: Iterable[Axes]) -> None:
    """One legend under all panels, each label once, in as few rows as the width allows."""
    entries: dict[str, Any] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    # Add rows until the legend is no wider than the figure.
    for rows in range(1, len(entries) + 1):
        columns = math.ceil(len(entries) / rows)
        legend = figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
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
