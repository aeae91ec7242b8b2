"""Tables as Markdown, reStructuredText and self-contained HTML pages, and their files in all formats."""

import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from parsec.report.tables.base import Table, TableResult, frame_table, with_code
from parsec.report.tables.latex import bibtex, latex
from parsec.runtime.outputs import write_outputs


def _escaped(text: str) -> str:
    r"""Escape what Markdown would read otherwise; an underscore within a word is none of that: `DARTS_V2`."""
    return re.sub(r"([\\*<]|(?<!\w)_|_(?!\w))", r"\\\1", text)


def markdown_text(text: str) -> str:
    """Text as Markdown; code spans stay as they are."""
    return with_code(text, _escaped, lambda code: f"`{code}`")


def _cell(text: str) -> str:
    """Text in a cell, where a pipe is escaped even within code."""
    return markdown_text(text).replace("|", "\\|")


def markdown(table: Table) -> str:
    """GitHub-flavoured Markdown: caption, table, notes and sources."""
    lines = [f"**{markdown_text(table.caption)}**", "", *markdown_grid(table), ""]
    lines += [f"- {markdown_text(note)}" for note in table.notes]
    if table.sources:
        lines += ["", "Sources:", "", *(f"{i}. {markdown_text(source)}" for i, source in enumerate(table.sources, 1))]
    return "\n".join(lines) + "\n"


PADDED = 80
"""Letters up to which cells are padded to equal width."""


def markdown_grid(table: Table) -> list[str]:
    """The lines of the table itself; a section begins with a row that only has its title."""
    rows = [list(map(_cell, table.headings))]
    for section in table.sections:
        if section.title:
            rows.append([f"**{_cell(section.title)}**", *[""] * (len(table.headings) - 1)])
        rows += [list(map(_cell, row)) for row in section.rows]
    # GitHub takes a delimiter cell of at least one hyphen; three, beside the colon, are what every parser takes.
    widths = [min(PADDED, max(4, *(len(row[i]) for row in rows))) for i in range(len(table.headings))]
    right = [column.align == "r" for column in table.columns]
    rule = ["-" * (w - 1) + ":" if r else ":" + "-" * (w - 1) for w, r in zip(widths, right, strict=True)]
    padded = [
        [cell.rjust(w) if r else cell.ljust(w) for cell, w, r in zip(row, widths, right, strict=True)] for row in rows
    ]
    return [f"| {' | '.join(row)} |" for row in [padded[0], rule, *padded[1:]]]


SHORT = 20
"""Letters up to which texts stay in one line."""
STYLE = """
body { background: #fff; color: #1a1a1a; font: 15px/1.45 system-ui, sans-serif; margin: 1rem auto; max-width: 75rem;
  padding: 0 1rem }
h1 { font-size: 1.25rem } h2 { font-size: 1.05rem; margin: 1.6rem 0 .4rem }
.wide { overflow-x: auto }
table { border-collapse: collapse; border-bottom: 2px solid #333; font-size: .87rem;
  font-variant-numeric: tabular-nums }
thead { border-top: 2px solid #333; border-bottom: 1px solid #333 }
tbody + tbody { border-top: 1px solid #999 }
th, td { padding: .25rem .55rem; text-align: left; vertical-align: top }
thead th { vertical-align: bottom } th { font-weight: 600 } tbody th[scope=row] { font-weight: 400 }
.r { text-align: right } tbody .r, tbody .short { white-space: nowrap } tbody .text { min-width: 9rem }
tbody th[scope=rowgroup] { font-style: italic }
tbody tr:hover { background: #f3f5f8 }
.notes { color: #444; font-size: .87rem; padding-left: 1.2rem }
code { font: .92em ui-monospace, monospace; overflow-wrap: anywhere }
""".strip()


def html_text(text: str) -> str:
    """Text as HTML; code spans as `<code>`."""
    return with_code(text, escape, lambda code: f"<code>{escape(code)}</code>")


def rst_table(table: Table) -> str:
    """The table as reStructuredText, without its notes, for the first page of Snakemake's report."""
    rows = [table.headings]
    for section in table.sections:
        rows += [[section.title, *[""] * (len(table.columns) - 1)]] if section.title else []
        rows += section.rows
    widths = " ".join(str(min(30, max(6, *map(len, cells)))) for cells in zip(*rows, strict=True))
    lines = [f".. list-table:: {_rst_text(table.caption)}", "   :header-rows: 1", f"   :widths: {widths}", ""]
    for row in rows:
        lines += [f"   {' ' if i else '*'} - {_rst_text(cell)}".rstrip() for i, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def _rst_text(text: str) -> str:
    # Jinja reads the page before docutils does.
    return with_code(text, lambda plain: re.sub(r"([\\*`|_{}])", r"\\\1", plain), lambda code: f"``{code}``")


def html(table: Table, more: Sequence[Table] = ()) -> str:
    """A page with the table, its notes and sources, and further tables below; it needs no other file."""
    parts = [part for each in more for part in (html_heading(each.caption), html_table(each))]
    return html_page(table.caption, [html_table(table), *parts])


def html_page(title: str, body: Iterable[str]) -> str:
    """A self-contained page with parts that are HTML already; its first line says whose page it is."""
    ours = escape(title).replace("--", "–")
    lines = [
        f"<!DOCTYPE html><!-- parsec-nas: {ours} -->",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{html_text(title)}</title>",
        f"<style>\n{STYLE}\n</style>",
        "</head>",
        "<body>",
        f"<h1>{html_text(title)}</h1>",
        *body,
        "</body>",
        "</html>",
    ]
    return "\n".join(lines) + "\n"


def html_heading(title: str) -> str:
    """The heading of a part of a page."""
    return f"<h2>{html_text(title)}</h2>"


def html_list(items: Sequence[str], kind: str = "ul") -> str:
    """A list of notes; nothing without any."""
    if not items:
        return ""
    return "\n".join([f'<{kind} class="notes">', *(f"<li>{html_text(item)}</li>" for item in items), f"</{kind}>"])


def html_table(table: Table) -> str:
    """The table, its notes and sources, without its caption."""
    cells = [[row[i] for row in table.rows] for i in range(len(table.columns))]
    classes = [f' class="{_kind(column.align, texts)}"' for column, texts in zip(table.columns, cells, strict=True)]
    heads = [
        f'<th scope="col"{kind}>{html_text(heading)}</th>'
        for heading, kind in zip(table.headings, classes, strict=True)
    ]
    lines = ['<div class="wide">', "<table>", "<thead>", f"<tr>{''.join(heads)}</tr>", "</thead>"]
    for section in table.sections:
        lines.append("<tbody>")
        if section.title:
            lines.append(f'<tr><th scope="rowgroup" colspan="{len(heads)}">{html_text(section.title)}</th></tr>')
        lines += [_html_row(row, classes) for row in section.rows]
        lines.append("</tbody>")
    lines += ["</table>", "</div>", html_list(table.notes)]
    if table.sources:
        lines += [html_heading("Sources"), html_list(table.sources, "ol")]
    return "\n".join(filter(None, lines))


def _kind(align: str, cells: Sequence[str]) -> str:
    """Class of a column: `r` to the right, `short` for text that stays in one line, else `text`."""
    return "r" if align == "r" else "short" if all(len(cell) <= SHORT for cell in cells) else "text"


def _html_row(row: Sequence[str], classes: Sequence[str]) -> str:
    first, *others = row
    cells = [f"<td{kind}>{html_text(cell)}</td>" for cell, kind in zip(others, classes[1:], strict=True)]
    return f'<tr><th scope="row"{classes[0]}>{html_text(first)}</th>{"".join(cells)}</tr>'


WRITERS = {"md": markdown, "tex": latex, "bib": bibtex}
"""Printed formats by the ending of their file; `bib` has what `tex` cites."""


def write_table(result: TableResult, output: Path) -> None:
    """Write `<output>.csv`, the formats of `WRITERS`, and `<output>.<name>.csv` for further numbers.

    Columns that are empty are not printed; the CSV has them. Only the HTML page prints the further numbers.
    """
    frames = {"csv": result.data} | {f"{name}.csv": data for name, data in result.more.items()}
    texts = {kind: data.to_csv(index=False) for kind, data in frames.items()}
    printed = result.table.without_empty_columns()
    texts |= {kind: text(printed) for kind, text in WRITERS.items()}
    texts["html"] = html(printed, [frame_table(name, data) for name, data in result.more.items() if len(data)])
    write_outputs({output.with_name(f"{output.name}.{kind}"): text for kind, text in texts.items()})
