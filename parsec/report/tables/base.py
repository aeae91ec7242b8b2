"""Tables as data, and as text, Markdown, LaTeX (booktabs) and CSV."""

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from parsec.report.inputs import Cost
from parsec.runtime.outputs import write_outputs
from parsec.stats import Summary

NOTHING = "–"
FORMULA = re.compile(r"[=@']|[+-](?![\d.]+$)")
"""Start of text that a spreadsheet would take for a formula (a number is none), or that looks already escaped."""


def significant(value: float, digits: int) -> str:
    """Decimal text with `digits` significant digits and no exponent: 3.35, 0.0213, 548."""
    if abs(value) >= 10 ** (digits - 1):
        return f"{value:.0f}"
    return np.format_float_positional(value, precision=digits, fractional=False, trim="-")


def mean_and_std(summary: Summary | None) -> str:
    """`2.86 ± 0.06`; only the mean of a single value."""
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


@dataclass(frozen=True)
class Section:
    """Rows below one sub-heading; sections are separated by a rule."""

    title: str
    rows: list[list[str]]

    @classmethod
    def of(cls, title: str, rows: Iterable[Any], columns: Sequence[Column]) -> "Section":
        """A section whose rows are printed by the columns."""
        return cls(title, [[column.cell(row) for column in columns] for row in rows])


@dataclass(frozen=True)
class Table:
    """A printed table: caption, columns, sections and the notes below."""

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


RULE = "———"
SYMBOLS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "†": r"$^\dagger$",
    "π": r"$\pi$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "∝": r"$\propto$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "−": r"$-$",
    "½": r"$\tfrac12$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
}


def latex_text(text: str) -> str:
    """Plain text with every character that LaTeX would read otherwise escaped."""
    return "".join(SYMBOLS.get(character, character) for character in text)


def _markdown_cell(text: str) -> str:
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("_", "\\_").replace("*", "\\*")


def markdown(table: Table) -> str:
    """GitHub-flavoured Markdown; the row that opens a section carries the rule."""
    rows = []
    for position, section in enumerate(table.sections):
        fill = RULE if position else ""
        rows.append([f"**{_markdown_cell(section.title)}**", *[fill] * (len(table.headings) - 1)])
        rows += [[_markdown_cell(cell) for cell in row] for row in section.rows]
    lines = [f"**{_markdown_cell(table.caption)}**", "", *_grid(table.headings, rows), ""]
    lines += [f"- {_markdown_cell(note)}" for note in table.notes]
    if table.sources:
        lines += ["", "Sources:", "", *(f"{i}. {_markdown_cell(source)}" for i, source in enumerate(table.sources, 1))]
    return "\n".join(lines) + "\n"


def _grid(headings: Sequence[str], rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in [list(headings), *rows]) for i in range(len(headings))]
    rule = [":" + "-" * (width - 1) for width in widths]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in [list(headings), *rows]]
    return [f"| {' | '.join(row)} |" for row in [padded[0], rule, *padded[1:]]]


def _latex_heading(text: str) -> str:
    """A heading with its unit below it."""
    return rf"\shortstack{{{latex_text(text).replace(' (', chr(92) * 2 + '(', 1)}}}"


def _latex_section(section: Section, width: int) -> list[str]:
    heading = rf"\multicolumn{{{width}}}{{l}}{{\textit{{{latex_text(section.title)}}}}} \\"
    return [r"\midrule", heading, *(" & ".join(map(latex_text, row)) + r" \\" for row in section.rows)]


def latex(table: Table) -> str:
    """A complete `table` environment; needs the package booktabs."""
    width = len(table.headings)
    alignment = "".join(column.align for column in table.columns)
    # Sources are numbered as the rows cite them.
    notes = [latex_text(note) for note in table.notes]
    notes += [rf"[{i}]~{latex_text(source)}." for i, source in enumerate(table.sources, 1)]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"\begin{table}",
        r"\centering\footnotesize\setlength{\tabcolsep}{4pt}",
        rf"\caption{{{latex_text(table.caption)}}}",
        rf"\label{{tab:{table.label}}}",
        rf"\begin{{tabular}}{{{alignment}}}",
        r"\toprule",
        " & ".join(map(_latex_heading, table.headings)) + r" \\",
        *(line for section in table.sections for line in _latex_section(section, width)),
        r"\bottomrule",
        r"\end{tabular}",
        r"\par\smallskip\begin{minipage}{\linewidth}\footnotesize\raggedright",
        "\n".join(f"{note}\\par" for note in notes),
        r"\end{minipage}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def or_nothing(text: str) -> str:
    """The text, or a dash where there is none."""
    return text or NOTHING


class TableResult(NamedTuple):
    """A table as it is printed, its numbers unrounded, and further numbers by the name of their CSV."""

    table: Table
    data: pd.DataFrame
    more: Mapping[str, pd.DataFrame] = MappingProxyType({})


def write_table(result: TableResult, output: Path) -> None:
    """Write `<output>.csv`, `.md`, `.tex`, and `<output>.<name>.csv` for further numbers."""
    frames = {"csv": result.data} | {f"{name}.csv": data for name, data in result.more.items()}
    texts = {kind: data.to_csv(index=False) for kind, data in frames.items()}
    texts |= {"md": markdown(result.table), "tex": latex(result.table)}
    write_outputs({output.with_name(f"{output.name}.{kind}"): text for kind, text in texts.items()})
