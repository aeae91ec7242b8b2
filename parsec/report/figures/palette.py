"""Colours, dashes and markers, colour-blind safe and told apart in grey as well: of seeds, and of primitives."""

from typing import Any, NamedTuple

BLACK, ORANGE, SKY, GREEN, BLUE, VERMILLION, PURPLE = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#767676"
"""Okabe and Ito's colours without yellow, which is too pale for a line, and a grey for what is not data."""

Dash = Any
"""What matplotlib takes as a line style: a name, or offset and lengths."""


class Line(NamedTuple):
    """Colour, dash and marker of one kind of line, so that it can be told in grey as well."""

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
    turn, place = divmod(index, len(SERIES))
    return SERIES[place]._replace(dash=ROUNDS[turn % len(ROUNDS)])


def primitive_line(name: str) -> Line:
    """Line of a primitive; grey for one that this palette does not know."""
    return PRIMITIVES.get(name) or NASBENCH201.get(name, Line(GREY, "-", "x"))


def primitive_label(name: str) -> str:
    """Short printed name: `sep 3×3`."""
    kind, _, size = name.rpartition("_")
    return SHORT.get(name) or f"{SHORT.get(kind, kind)} {size.replace('x', '×')}"
