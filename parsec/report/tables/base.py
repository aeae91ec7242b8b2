"""Tables as data: the texts of numbers, columns, sections, notes. `markup.py` and `latex.py` print them."""

import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from parsec.report.inputs import SECONDS, Cost
from parsec.stats import Summary

NOTHING = "–"
FORMULA = re.compile(r"[=@']|[+-](?![\d.]+$)")
"""Start of text that a spreadsheet would take for a formula (a number is none), or that looks already escaped."""
CODE = re.compile(r"`([^`]+)`")
"""Text between backticks, which all formats print as code."""


def significant(value: float, digits: int) -> str:
    """Decimal text with `digits` significant digits and no exponent: 3.35, 0.0213, 548."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def mean_and_std(summary: Summary | None) -> str:
    """`2.86 ± 0.06`; only the mean of a single value."""
    if summary is None:
        return NOTHING
    mean = f"{summary.mean:.2f}".replace("-", "−")
    return mean if summary.std is None else f"{mean} ± {summary.std:.2f}"


def cost_text(cost: Cost) -> str:
    """Amounts with their units: `1.3 CPU-hours`."""
    return " + ".join(f"{significant(amount, 2)} {unit}" for unit, amount in cost.items()) or NOTHING


def listing(items: Iterable[object]) -> str:
    """Distinct items in the order of their first mention: `a, b and c`."""
    words = list(dict.fromkeys(str(item) for item in items))
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else NOTHING


def csv_text(text: str) -> str:
    r"""Escape a name that others chose, such as a file's, for a CSV.

    An apostrophe goes before text that a spreadsheet would take for a formula (it begins with = + - @ and is no
    number), and before text that begins with one; what cannot be printed, bytes that are not UTF-8 among it, and the
    backslash become escapes: `\t`, `\xff`, `\\`. Without its first apostrophe, and with escapes undone, the text is as
    it was.
    """
    escaped = "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in text)
    return f"'{escaped}" if FORMULA.match(escaped) else escaped


def _escape(character: str) -> str:
    r"""`\n`, `\u202e`; a byte that is not UTF-8, which Python keeps as a surrogate: `\xff`."""
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def with_code(text: str, plain: Callable[[str], str], code: Callable[[str], str]) -> str:
    """The text with `plain` applied outside of backticks, and `code` to what is between them."""
    # Splitting at a group alternates: outside, inside, outside, …
    return "".join(code(part) if i % 2 else plain(part) for i, part in enumerate(CODE.split(text)))


class Column(NamedTuple):
    """One printed column: its heading, the text of a row, and its alignment in LaTeX."""

    heading: str
    cell: Callable[[Any], str]
    align: str = "r"


def text_column(heading: str, key: str, align: str = "r") -> Column:
    """A column that prints `row[key]` as it is, and a dash for nothing."""
    return Column(heading, lambda row: NOTHING if row[key] is None else str(row[key]), align)


def keyed_columns(headings: Mapping[Any, str], cell: Callable[[Any, Any], str]) -> list[Column]:
    """One column per key, such as a data set; `cell` takes the key and a row."""
    return [Column(heading, partial(cell, key)) for key, heading in headings.items()]


def list_columns(headings: Sequence[str], alignment: str) -> list[Column]:
    """Columns of rows that are lists of texts; `alignment` has one letter per column."""
    pairs = zip(headings, alignment, strict=True)
    return [Column(heading, operator.itemgetter(i), align) for i, (heading, align) in enumerate(pairs)]


def number_column(heading: str, value: Callable[[Any], float | None], rows: Iterable[Any], digits: int = 3) -> Column:
    """A column of numbers that all have the same number of decimals; a dash for None and NaN.

    The smallest number keeps `digits` significant digits, unless the largest then has more than one decimal too many.
    """
    known = [number for row in rows if (number := value(row)) is not None and math.isfinite(number)]
    decimals = _decimals(known, digits)

    def cell(row: Any) -> str:  # noqa: ANN401 - rows of any kind
        number = value(row)
        return NOTHING if number is None or math.isnan(number) else f"{number:.{decimals}f}".replace("-", "−")

    return Column(heading, cell)


def _decimals(values: Iterable[float], digits: int) -> int:
    sizes = [math.floor(math.log10(abs(value))) for value in values if value]
    if not sizes:
        return 0
    return max(0, min(digits - 1 - min(sizes), digits - max(sizes)))


def count_column(
    name: str, value: Callable[[Any], float | None], rows: Sequence[Any], others: Iterable[float] = ()
) -> Column:
    """A column of counts in one unit: millions, or thousands where one is below 0.1 million and none above a million.

    `others` are counts in the same column that are printed by other means, such as published ones.
    """
    known = [number for number in (*map(value, rows), *others) if number]
    thousands = bool(known) and min(known) < 1e5 and max(known) < 1e6
    unit, letter = (1e3, "k") if thousands else (1e6, "M")

    def in_unit(row: Any) -> float | None:  # noqa: ANN401 - rows of any kind
        number = value(row)
        return None if number is None else number / unit

    return number_column(f"{name} ({letter})", in_unit, rows)


def cost_columns(name: str, cost: Callable[[Any], Cost]) -> list[Column]:
    """One column per unit of a search cost; renderers drop the column of a unit that no row has."""

    def cell(unit: str, row: Any) -> str:  # noqa: ANN401 - rows of any kind
        amount = cost(row).get(unit)
        return NOTHING if amount is None else significant(amount, 2)

    return keyed_columns({unit: f"{name} ({unit})" for unit in SECONDS}, cell)


@dataclass(frozen=True)
class Section:
    """Rows below one sub-heading; sections are separated by a rule. A table's only section may have no title."""

    title: str
    rows: list[list[str]]

    @classmethod
    def of(cls, title: str, rows: Iterable[Any], columns: Sequence[Column]) -> "Section":
        """A section whose rows are printed by the columns."""
        return cls(title, [[column.cell(row) for column in columns] for row in rows])


@dataclass(frozen=True)
class Table:
    """A printed table: caption, columns, sections and the notes below.

    Text is plain, but for names of settings between backticks. A source is cited in rows as its number: `[1]`.
    """

    label: str
    caption: str
    columns: Sequence[Column]
    sections: list[Section]
    notes: Sequence[str]
    sources: list[str] = field(default_factory=list)

    @property
    def headings(self) -> list[str]:
        """Headings of the columns."""
        return [column.heading for column in self.columns]

    @property
    def rows(self) -> list[list[str]]:
        """Rows of all sections."""
        return [row for section in self.sections for row in section.rows]

    def without_empty_columns(self) -> "Table":
        """The table without columns that have nothing in any row; the first column stays."""
        filled = [any(row[i] not in ("", NOTHING) for row in self.rows) for i in range(len(self.columns))]
        kept = [i for i, any_row in enumerate(filled) if i == 0 or any_row]
        sections = [Section(each.title, [[row[i] for i in kept] for row in each.rows]) for each in self.sections]
        return replace(self, columns=[self.columns[i] for i in kept], sections=sections)


def frame_table(name: str, data: pd.DataFrame) -> Table:
    """The columns of a data frame in which its rows differ, as a printed table."""
    shown = [key for key in data if data[key].nunique(dropna=False) > 1 or len(data) == 1]

    def cell(key: str, row: Mapping[str, Any]) -> str:
        value = row[key]
        if value is None or (isinstance(value, float) and math.isnan(value)):
            return NOTHING
        return f"{value:.2f}".replace("-", "−") if isinstance(value, float) else str(value)

    columns = keyed_columns({key: key.replace("_", " ").capitalize() for key in shown}, cell)
    sides = ["l" if any(isinstance(value, str) for value in data[key]) else "r" for key in shown]
    columns = [column._replace(align=side) for column, side in zip(columns, sides, strict=True)]
    return Table(name, name.capitalize(), columns, [Section.of("", data.to_dict("records"), columns)], [])


class TableResult(NamedTuple):
    """A table as it is printed, its numbers unrounded, and further numbers by the name of their CSV."""

    table: Table
    data: pd.DataFrame
    more: Mapping[str, pd.DataFrame] = MappingProxyType({})
