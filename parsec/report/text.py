"""Numbers and lists as the text that tables and notes print."""

from collections.abc import Iterable

import numpy as np

from parsec.records.statistics import Summary
from parsec.report.search_cost import Cost

NOTHING = "–"


def significant(value: float, digits: int) -> str:
    """Decimal text with so many significant digits and no exponent: 3.35, 0.0213, 548."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def mean_and_std(summary: Summary | None) -> str:
    """`2.86 ± 0.06`; the mean alone if there is but one value."""
    if summary is None:
        return NOTHING
    return f"{summary.mean:.2f}" if summary.std is None else f"{summary.mean:.2f} ± {summary.std:.2f}"


def millions(value: float) -> str:
    """A count in millions, three significant digits."""
    return significant(value / 1e6, 3)


def cost_text(cost: Cost) -> str:
    """Amounts with their units: `1.3 CPU-hours`."""
    return " + ".join(f"{significant(amount, 2)} {unit}" for unit, amount in cost.items()) or NOTHING


def listing(items: Iterable[object]) -> str:
    """Distinct items in the order of their first mention: `a, b and c`."""
    words = list(dict.fromkeys(str(item) for item in items))
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else NOTHING
