"""Result tables in the layout of the paper: ours above the published rows, as CSV, Markdown and LaTeX."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report import notes
from parsec.report.published import protocol, published_rows
from parsec.report.raw import raw_classes, raw_ours, raw_published
from parsec.report.render import Section, Table, latex, markdown, or_nothing
from parsec.report.rows import Row, our_rows
from parsec.report.text import NOTHING, cost_text, mean_and_std, millions
from parsec.runtime.outputs import write_outputs

Published = dict[str, str]


class Column(NamedTuple):
    """One printed column: its heading, our text and the published columns (value and ± value)."""

    heading: str
    ours: Callable[[Row], str]
    published: tuple[str, ...]


ERROR = Column("Test error (%)", lambda row: mean_and_std(row.top1), ("top1_error", "top1_error_std"))
TOP1 = Column("Top-1 error (%)", lambda row: mean_and_std(row.top1), ("top1_error", "top1_error_std"))
TOP5 = Column("Top-5 error (%)", lambda row: mean_and_std(row.top5), ("top5_error",))
BALANCED = Column("Balanced error (%)", lambda row: mean_and_std(row.balanced), ())
COUNT = Column("n", lambda row: row.count, ())
PARAMETERS = Column("Parameters (M)", lambda row: millions(row.complexity("parameters")), ("parameters_m",))
MULTIPLY_ADDS = Column("Multiply-adds (M)", lambda row: millions(row.complexity("multiply_adds")), ("multiply_adds_m",))
COST = Column("Search cost (GPU-days unless stated)", lambda row: cost_text(row.cost), ("search_cost_gpu_days",))
FAMILY = Column("Method", lambda row: or_nothing(row.family), ("search_method",))

BALANCED_NOTE = "Balanced error is the mean over classes of each one's error; classes have unequally many test images."
CAPTION = "Classification error on the test images of {}"
LAYOUTS = {
    "cifar": (ERROR, COUNT, PARAMETERS, COST, FAMILY),
    "imagenet": (TOP1, TOP5, COUNT, PARAMETERS, MULTIPLY_ADDS, COST, FAMILY),
}


def _published_cells(row: Published, columns: tuple[Column, ...]) -> list[str]:
    return [" ± ".join(filter(None, (row.get(name, "") for name in c.published))) or NOTHING for c in columns]


def _published_section(rows: pd.DataFrame, columns: tuple[Column, ...], data_set: str) -> tuple[Section, list[str]]:
    """The published rows as printed, each with the number of its source; and the sources."""
    remarks = (" (" + rows["remark"] + ")").where(rows["remark"] != "", "")
    numbers, sources = pd.factorize(rows["source"] + remarks)
    lines = []
    for number, row in zip(numbers, rows.to_dict("records"), strict=True):
        name = row["architecture"] + (" †" if row["certainty"] == "secondary" else "")
        lines.append([name, *_published_cells(row, columns), f"[{number + 1}]"])
    return Section(f"Published, {data_set}", lines), list(sources)


def _stem(rows: list[Row], dataset: str) -> str:
    stems = {row.network[0] for row in rows}
    if len(stems) != 1:
        found = ", ".join(sorted(stems)) or "no retraining"
        raise UserError(
            f"table of {dataset}: needs retraining results of one stem, got {found}; give one run's results"
        )
    return stems.pop()


def _our_section(rows: list[Row], columns: tuple[Column, ...], dataset: str) -> Section:
    return Section(f"This run, {dataset}", [[row.architecture, *(c.ours(row) for c in columns), ""] for row in rows])


def _columns(rows: list[Row], dataset: str) -> tuple[Column, ...]:
    """What is printed of the rows: balanced error too, beside top-1 error, where it differs from that."""
    columns = LAYOUTS[_stem(rows, dataset)]
    if all(row.balanced is None or mean_and_std(row.balanced) == mean_and_std(row.top1) for row in rows):
        return columns
    return (columns[0], BALANCED, *columns[1:])


def _notes(rows: list[Row], dataset: str, published: Published | None) -> list[str]:
    under = [notes.STATISTICS, *notes.scale(rows, dataset, published), *notes.selection(rows), *notes.hardware(rows)]
    return [*under, notes.SECONDARY] if published else under


def write_table(
    dataset: str, compare_with: str | None, results: list[Path], output: Path, published: Path | None = None
) -> None:
    """Write `<output>.csv`, `.md` and `.tex`: our results on one data set, above published ones if asked for.

    `<output>.classes.csv` has our errors per class.

    `results` are the result.json of retraining and of all searches behind it; `published` is the folder of the cited
    tables, `config/published` if None.

    Raises:
        UserError: no retraining of the data set, a missing search, a damaged file, an unknown published table.
    """
    rows = our_rows(read_results(results), dataset)
    columns = _columns(rows, dataset)
    sections, sources = [_our_section(rows, columns, dataset)], list[str]()
    raw = raw_ours(rows, dataset)
    rules = protocol(compare_with, published) if compare_with else None
    if compare_with and rules:
        theirs = published_rows(compare_with, published)
        section, sources = _published_section(theirs, columns, rules["data_set"])
        sections.append(section)
        raw = pd.concat([raw, raw_published(theirs, rules["data_set"], raw.columns)])
    headings = ["Architecture", *(column.heading for column in columns), "Source"]
    under = [*_notes(rows, dataset, rules), *([BALANCED_NOTE] if BALANCED in columns else [])]
    table = Table(dataset, CAPTION.format(dataset), headings, sections, under, sources)
    texts = {
        "csv": raw.to_csv(index=False),
        "classes.csv": raw_classes(rows, dataset).to_csv(index=False),
        "md": markdown(table),
        "tex": latex(table),
    }
    write_outputs({output.with_name(f"{output.name}.{kind}"): text for kind, text in texts.items()})
