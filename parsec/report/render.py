"""A table as Markdown and LaTeX (booktabs); one text serves all, symbols are translated."""

from collections.abc import Sequence
from dataclasses import dataclass

from parsec.report.text import NOTHING


@dataclass(frozen=True)
class Section:
    """Rows below one sub-heading; sections are separated by a rule."""

    title: str
    rows: list[list[str]]


@dataclass(frozen=True)
class Table:
    """A printed table: caption, headings, sections and the notes below."""

    label: str
    caption: str
    headings: list[str]
    sections: list[Section]
    notes: list[str]
    sources: list[str]
    alignment: str | None = None
    """Letters of LaTeX's `tabular`, one a column; None: names, then numbers, then two columns of text."""


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
    alignment = table.alignment or f"l{'r' * (width - 3)}ll"
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
