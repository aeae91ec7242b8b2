"""Files of a table in all formats."""

from pathlib import Path

from parsec.report.tables.base import TableResult, frame_table
from parsec.report.tables.latex import bibtex, latex
from parsec.report.tables.markup import html, markdown
from parsec.runtime.outputs import write_outputs

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
