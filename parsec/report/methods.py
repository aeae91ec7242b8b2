"""Search methods as tables and figures show them: printed name, kind, colour, marker and line style."""

from collections.abc import Mapping
from typing import Any, NamedTuple

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
    filled: bool = True

    def plot(self) -> dict[str, Any]:
        """Keyword arguments for `Axes.plot`."""
        face = self.colour if self.filled else "white"
        return {"color": self.colour, "linestyle": self.dash, "marker": self.marker, "markerfacecolor": face}


class Method(NamedTuple):
    """A search method, or a variant of one."""

    name: str
    """Printed name."""
    family: str
    """Kind of search, as published tables have it."""
    line: Line
    distribution: str = ""
    """What it learns over the choices; empty for a search that learns none."""


METHODS = {
    "parsec": Method("PARSEC", "gradient-based", Line(BLUE, "-", "o"), "π"),
    "darts": Method("DARTS (1st order)", "gradient-based", Line(VERMILLION, "-", "s"), "softmax of α"),
    "darts_second_order": Method("DARTS (2nd order)", "gradient-based", Line(ORANGE, "-", "D"), "softmax of α"),
    "snas": Method("SNAS", "gradient-based", Line(GREEN, "-", "^"), "softmax of α"),
    "gdas": Method("GDAS", "gradient-based", Line(PURPLE, "-", "v"), "softmax of α"),
    "random": Method("Random search", "random", Line(BLACK, "-", "X")),
    "random_ws": Method("Random search (shared weights)", "random", Line(SKY, "-", "P")),
    # Simulated on tabular benchmarks only, never in one figure with those above.
    "reinforce": Method("REINFORCE", "RL", Line(GREEN, "-", "D")),
    "evolution": Method("Regularised evolution", "evolution", Line(VERMILLION, "-", "^")),
    "assisted_evolution": Method("Assisted evolution", "evolution", Line(PURPLE, "-", "v")),
}
"""By name in settings and results, in the order of tables and legends."""

SHADES = (("#FFFFFF", 0.4), ("#000000", 0.35))
"""Colours that a variant's is mixed from, beside its method's, and their shares."""
DASHES: tuple[Dash, ...] = ((0, (5, 1.5)), (0, (1, 1)), (0, (5, 1.5, 1, 1.5)))
MARKERS = ("s", "^", "D", "v", "P", "X", "o")


def base_of(name: str, base: str | None = None) -> str:
    """The method behind a name: `base` where it is recorded, else a prefix (`snas-mild`), else PARSEC."""
    if name in METHODS:
        return name
    if base in METHODS:
        return str(base)
    prefixes = [method for method in METHODS if name.startswith((f"{method}-", f"{method}_"))]
    return max(prefixes, key=len, default="parsec")


def display_name(name: str, base: str | None = None) -> str:
    """Printed name of a method or variant: `PARSEC`, `PARSEC, mean`, `SNAS, mild`."""
    if name in METHODS:
        return METHODS[name].name
    method = base_of(name, base)
    own = name.removeprefix(method).strip("-_") or name
    return f"{METHODS[method].name}, {own.replace('-', ' ').replace('_', ' ')}"


def described(bases: Mapping[str, str | None]) -> dict[str, Method]:
    """Methods and variants of one run, in the order of legends: each method, then its variants by name.

    `bases` are the method behind each name, None where unknown. A variant has its method's colour, lighter or darker,
    and open markers, so that it differs from the method and, up to 42 of them, from every other variant.
    """
    methods: dict[str, Method] = {}
    for base, method in METHODS.items():
        if base in bases:
            methods[base] = method
        variants = sorted(name for name in bases if name not in METHODS and base_of(name, bases[name]) == base)
        for i, name in enumerate(variants):
            methods[name] = method._replace(name=display_name(name, bases[name]), line=_variant(method.line, i))
    return methods


def _variant(line: Line, index: int) -> Line:
    other, share = SHADES[index % len(SHADES)]
    mixed = [
        round((1 - share) * int(line.colour[i : i + 2], 16) + share * int(other[i : i + 2], 16)) for i in (1, 3, 5)
    ]
    colour = "#{:02X}{:02X}{:02X}".format(*mixed)
    return Line(colour, DASHES[index % len(DASHES)], MARKERS[index % len(MARKERS)], filled=False)
