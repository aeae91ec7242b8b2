"""Tables as LaTeX that fits a text block 6.5 inches wide and breaks over pages, with the references that it cites."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from parsec.report.inputs import Reference, references
from parsec.report.tables.base import Column, Section, Table, with_code

TEXT_WIDTH = 469.0
"""6.5 inches in points."""
GAP = 3.0
"""`\\tabcolsep` in points; two of them are between columns."""
SIZES = {"footnotesize": 8.5, "scriptsize": 8.0, "tiny": 6.8}
"""Points of an em in Computer Modern, by font size, for a document of 10 points."""
COMFORTABLE = 48.0
"""Points that a column of text gets before a smaller font is taken."""
LONG = 10
"""Letters of a word from which on it is broken at its hyphens."""
NARROW, WIDE = set("ijlrtfI.,:;'|![]() "), set("mwMW%+±×−≤≥@—π")
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
    "`": r"\textasciigrave{}",
    "±": r"$\pm$",
    "×": r"$\times$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "†": r"$^\dagger$",
    "π": r"$\pi$",
    "α": r"$\alpha$",
    "β": r"$\beta$",
    "∝": r"$\propto$",
    "·": r"$\cdot$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "−": r"$-$",
    "½": r"$\tfrac12$",
    "τ": r"$\tau$",
    "ρ": r"$\rho$",
}


def _symbols(text: str) -> str:
    return "".join(SYMBOLS.get(character, character) for character in text)


def latex_text(text: str) -> str:
    r"""Plain text with every character that LaTeX would read otherwise escaped; code spans as `\texttt`."""
    return with_code(text, _symbols, lambda code: rf"\texttt{{{_symbols(code)}}}")


class Layout(NamedTuple):
    """Font and widths of a table."""

    size: str
    widths: list[float]
    """Points of every column."""
    columns: list[str]
    """Specification of every column: `r`, `l`, or a paragraph of fixed width."""
    fits: bool
    """Whether no column is too narrow for its words."""

    @property
    def total(self) -> float:
        """Points of the whole table."""
        return sum(self.widths) + 2 * GAP * (len(self.widths) - 1)


def _ems(text: str) -> float:
    """Width of a text in ems, slightly overestimated."""
    return sum(0.36 if c in NARROW else 0.84 if c in WIDE else 0.78 if c.isupper() else 0.53 for c in text)


def _words(text: str) -> list[str]:
    """Pieces between which a line may break: at spaces, and after the hyphens of long words."""
    words = [re.findall(r"[^-]+-?|-", word) if len(word) > LONG else [word] for word in text.split()]
    return [piece for pieces in words for piece in pieces] or [""]


def layout_of(table: Table, keys: Sequence[str]) -> Layout:
    """The largest font with which all columns fit."""
    layouts = [_in_size(table, size, keys) for size in SIZES]
    return next((layout for layout in layouts if layout.fits), layouts[-1])


def _in_size(table: Table, size: str, keys: Sequence[str]) -> Layout:
    """Widths in one font: columns of text share what those of numbers leave."""
    texts = [[_as_set(row[i], keys) for row in table.rows] for i in range(len(table.columns))]
    words = [[*map(_words, [heading, *cells])] for heading, cells in zip(table.headings, texts, strict=True)]
    # A heading may break at every word, a cell of numbers nowhere.
    heads = [max(map(_ems, pieces[0])) for pieces in words]
    natural = [SIZES[size] * max([head, *map(_ems, cells)]) for head, cells in zip(heads, texts, strict=True)]
    least = [SIZES[size] * max(_ems(word) for piece in pieces for word in piece) for pieces in words]

    flexible = {i: natural[i] for i, column in enumerate(table.columns) if column.align != "r"}
    fixed = sum(width for i, width in enumerate(natural) if i not in flexible)
    shared = _shared(flexible, TEXT_WIDTH - 2 * GAP * (len(natural) - 1) - fixed)
    widths = [shared.get(i, width) for i, width in enumerate(natural)]
    columns = [
        column.align if width >= full else rf">{{\raggedright\arraybackslash}}p{{{width:.0f}pt}}"
        for column, width, full in zip(table.columns, widths, natural, strict=True)
    ]
    fits = all(width >= max(least[i], min(natural[i], COMFORTABLE)) for i, width in shared.items())
    return Layout(size, widths, columns, fits)


def _shared(natural: dict[int, float], available: float) -> dict[int, float]:
    """Widths of columns of text: narrow ones as they are, the others share the rest equally."""
    shared: dict[int, float] = {}
    for number, (i, width) in enumerate(sorted(natural.items(), key=lambda item: item[1])):
        shared[i] = max(0.0, min(width, (available - sum(shared.values())) / (len(natural) - number)))
    return shared


def _heading(column: Column, width: float, em: float) -> str:
    """A heading of several lines, each no wider than the column."""
    lines = [""]
    for word in _words(column.heading):
        longer = lines[-1] + ("" if lines[-1].endswith("-") else " ") + word
        if em * _ems(longer.strip()) <= width:
            lines[-1] = longer.strip()
        else:
            lines.append(word)
    broken = r" \\ ".join(latex_text(line) for line in lines if line)
    return rf"\shortstack[{column.align}]{{{broken}}}"


def latex(table: Table) -> str:
    """A `longtable`, which breaks over pages, and its notes as a list below; needs booktabs, array and longtable."""
    keys = [citation(source) for source in table.sources]
    layout = layout_of(table, keys)
    headings = [
        _heading(column, width, SIZES[layout.size]) for column, width in zip(table.columns, layout.widths, strict=True)
    ]
    head = [r"\toprule", " & ".join(headings) + r" \\", r"\midrule"]
    lines = [
        r"% needs \usepackage{booktabs}",
        r"% and \usepackage{array,longtable}" + (f"; cites {table.label}.bib" if any(keys) else ""),
        r"\begingroup",
        rf"\{layout.size}\setlength{{\tabcolsep}}{{{GAP:.0f}pt}}\setlength{{\LTcapwidth}}{{\linewidth}}",
        rf"\begin{{longtable}}{{@{{}}{''.join(layout.columns)}@{{}}}}",
        rf"\caption{{{latex_text(table.caption)}}}\label{{tab:{table.label}}} \\",
        *head,
        r"\endfirsthead",
        *head,
        r"\endhead",
        r"\bottomrule",
        r"\endlastfoot",
    ]
    for i, section in enumerate(table.sections):
        lines += _section(section, len(table.columns), layout.total, keys, first=i == 0)
    notes = [latex_text(note) for note in table.notes]
    # Sources are numbered as the rows cite them, unless the rows cite their papers.
    numbered = enumerate(zip(keys, table.sources, strict=True), 1)
    notes += [f"{key or f'[{i}]'} {latex_text(source)}." for i, (key, source) in numbered]
    lines.append(r"\end{longtable}")
    if notes:
        items = [rf"\item {{}}{note}" for note in notes]
        lines += [r"\begin{itemize}\setlength{\itemsep}{0pt}\raggedright", *items, r"\end{itemize}"]
    return "\n".join([*lines, r"\endgroup"]) + "\n"


def _section(section: Section, columns: int, width: float, keys: Sequence[str], first: bool) -> list[str]:
    lines = [] if first else [r"\midrule"]
    if section.title:
        title = rf"\raggedright\textit{{{latex_text(section.title)}}}"
        lines.append(rf"\multicolumn{{{columns}}}{{@{{}}p{{{width:.0f}pt}}@{{}}}}{{{title}}} \\*")
    return lines + [" & ".join(_cell(cell, keys) for cell in row) + r" \\" for row in section.rows]


def _citation_in(text: str, keys: Sequence[str]) -> str:
    """The citation that stands for a cell with the number of a source; empty for any other cell."""
    cited = re.fullmatch(r"\[(\d+)\]", text)
    return keys[int(cited[1]) - 1] if cited and keys else ""


def _as_set(text: str, keys: Sequence[str]) -> str:
    """The text of a cell, or what a citation in it is set as: `[00, 00]`."""
    cited = _citation_in(text, keys)
    return f"[{', '.join('00' for _ in cited.split(','))}]" if cited else text


def _cell(text: str, keys: Sequence[str]) -> str:
    """A cell; the number of a source as the citation of its papers, if they are known."""
    if cited := _citation_in(text, keys):
        return cited
    # A bracket at the beginning of a row would be an argument of the line break before it.
    return ("{}" if text.startswith("[") else "") + latex_text(text)


def _cited(source: str) -> list[Reference]:
    """References that a source names, in the order in which it does."""
    mentions = [(source.find(name), each) for each in references() for name in each.named if name in source]
    return list(dict.fromkeys(reference for _, reference in sorted(mentions)))


def citation(source: str) -> str:
    r"""`\cite{…}` of the papers that a source names; empty if it names none that we have a reference of."""
    keys = ",".join(reference.key for reference in _cited(source))
    return rf"\cite{{{keys}}}" if keys else ""


def bibtex(table: Table) -> str:
    """The references that `latex` cites, as a BibTeX file."""
    cited = dict.fromkeys(reference for source in table.sources for reference in _cited(source))
    return "\n".join([f"% References of the table {table.label}, by parsec-nas", *map(_entry, cited)]) + "\n"


def _entry(reference: Reference) -> str:
    fields = {
        "author": reference.authors,
        "title": f"{{{reference.title}}}",
        "howpublished": reference.venue,
        "year": reference.year,
        "eprint": reference.arxiv,
        "archivePrefix": "arXiv",
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items() if value]
    return "\n".join([f"@misc{{{reference.key},", *lines, "}"])
