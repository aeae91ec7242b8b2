"""Numbers and lists as the text that tables and notes print."""

import re
from collections.abc import Iterable

import numpy as np

from parsec.records.statistics import Summary
from parsec.report.search_cost import Cost

NOTHING = "–"
FORMULA = re.compile(r"[=@']|[+-](?![\d.]+$)")
"""How text begins that a spreadsheet takes for a formula (a number is none), or that begins as escaped text does."""


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


def csv_text(text: str) -> str:
    r"""Text of a name that others chose, such as a file's, so that it can stand in a CSV.

    An apostrophe goes before text that a spreadsheet would take for a formula (it begins with = + - @ and is no
    number), and before text that begins with one; what cannot be printed, bytes that are not UTF-8 among it, and the
    backslash become escapes: `\t`, `\xff`, `\\`. Without its first apostrophe, and with escapes undone, the text is as
    it was.
    """
    shown = "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in text)
    return f"'{shown}" if FORMULA.match(shown) else shown


def _escape(character: str) -> str:
    r"""`\n`, `\u202e`; a byte that is not UTF-8, which Python keeps as a surrogate: `\xff`."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
