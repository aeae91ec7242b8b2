"""Table: test errors in the layout of the paper's tables, ours above the published ones."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report.inputs import GPU_DAYS, Result, protocol, published_rows
from parsec.report.tables.accuracy import (
    SECONDARY,
    STATISTICS,
    Row,
    hardware,
    our_rows,
    raw_classes,
    raw_ours,
    raw_published,
    scale,
    selection,
)
from parsec.report.tables.base import (
    NOTHING,
    Column,
    Section,
    Table,
    TableResult,
    cost_columns,
    count_column,
    mean_and_std,
    or_nothing,
)

FEW_IMAGES = 2000
"""Test images below which errors are also printed as numbers of images."""


def few_test_images(trainings: Iterable[Result]) -> int | None:
    """Number of test images, where all trainings were tested on the same few."""
    counts = {result["test"]["images"] for result in trainings}
    return counts.pop() if len(counts) == 1 and max(counts) < FEW_IMAGES else None


def _wrong(row: Row) -> str:
    """Test images that the trainings of a row got wrong, of all that they were tested on: `39 of 1,080`."""
    images = few_test_images(row.trainings)
    if images is None:
        return NOTHING
    wrong = sum(round(result["test"]["top1_error"] * images / 100) for result in row.trainings)
    return f"{wrong:,} of {images * len(row.trainings):,}"


def few_images_note(images: int) -> str:
    """What errors of few test images can tell."""
    return (
        f"The test split has {images} images, so that one wrong image is {100 / images:.2f} %. ± does not cover which "
        "images the split has."
    )


def few_images_notes(rows: Iterable[Row]) -> list[str]:
    """A note where all trainings were tested on the same few images."""
    images = few_test_images(result for row in rows for result in row.trainings)
    return [] if images is None else [f"{few_images_note(images)} Wrong test images are summed over the trainings."]


class Printed(NamedTuple):
    """A column of the table, and the columns of the published tables that are printed in it: a value, its ±."""

    column: Column
    published: tuple[str, ...] = ()


NAME = Printed(Column("Architecture", lambda row: row.architecture, "l"), ("architecture",))
ERROR = Column("Test error (%)", lambda row: mean_and_std(row.top1))
TOP1 = Column("Top-1 error (%)", lambda row: mean_and_std(row.top1))
TOP5 = Printed(Column("Top-5 error (%)", lambda row: mean_and_std(row.top5)), ("top5_error",))
BALANCED = Printed(Column("Balanced error (%)", lambda row: mean_and_std(row.balanced)))
WRONG = Printed(Column("Wrong test images", _wrong))
COUNT = Printed(Column("n", lambda row: row.count))
FAMILY = Printed(Column("Type of search", lambda row: or_nothing(row.family), "l"), ("search_method",))
SOURCE = Printed(Column("Source", lambda row: "", "l"))

BALANCED_NOTE = "Balanced error is the mean over classes of each one's error; classes have unequally many test images."
CAPTION = "Classification error on the test images of {}"
IMAGENET = "imagenet"
"""Stem of networks whose tables have top-5 errors and multiply-adds, as in the papers."""


def columns_of(rows: list[Row], theirs: pd.DataFrame, large: bool) -> list[Printed]:
    """Columns of our rows and of published ones; balanced error follows top-1 error where the two differ."""
    balanced = any(row.balanced and mean_and_std(row.balanced) != mean_and_std(row.top1) for row in rows)
    balanced &= all(row.balanced is not None for row in rows)
    return [
        NAME,
        Printed(TOP1 if large else ERROR, ("top1_error", "top1_error_std")),
        *([BALANCED] if balanced else []),
        *([TOP5] if large else []),
        COUNT,
        WRONG,
        _counts("Parameters", "parameters", rows, theirs),
        *([_counts("Multiply-adds", "multiply_adds", rows, theirs)] if large else []),
        *(
            Printed(column, ("search_cost_gpu_days",) if GPU_DAYS in column.heading else ())
            for column in cost_columns("Search cost", lambda row: row.cost)
        ),
        FAMILY,
        SOURCE,
    ]


def _counts(name: str, key: str, rows: list[Row], theirs: pd.DataFrame) -> Printed:
    """Parameters or multiply-adds; published ones are in millions, and decide on the unit of ours."""
    published = 1e6 * pd.to_numeric(theirs.get(f"{key}_m", pd.Series(dtype=float)))
    return Printed(count_column(name, lambda row: row.complexity(key), rows, published.dropna()), (f"{key}_m",))


def _published_section(rows: pd.DataFrame, columns: list[Printed], data_set: str) -> tuple[Section, list[str]]:
    """The published rows as printed, each with the number of its source; and the sources."""
    remarks = (" (" + rows["remark"] + ")").where(rows["remark"] != "", "")
    numbers, sources = pd.factorize(rows["source"] + remarks)
    lines = []
    for number, row in zip(numbers, rows.to_dict("records"), strict=True):
        values = [[row.get(key, "") for key in column.published] for column in columns]
        cells = [" ± ".join(filter(None, pair)) or NOTHING for pair in values]
        name = row["architecture"] + (" †" if row["certainty"] == "secondary" else "")
        lines.append([name, *cells[1:-1], f"[{number + 1}]"])
    return Section(f"Published, {data_set}", lines), list(sources)


def _stem(rows: list[Row], dataset: str) -> str:
    stems = {row.network[0] for row in rows}
    if len(stems) != 1:
        names = ", ".join(sorted(stems)) or "no retraining"
        raise UserError(
            f"table of {dataset}: needs retraining results of one stem, got {names}; give one run's results"
        )
    return stems.pop()


def make_accuracy_table(
    inputs: Sequence[Path], dataset: str, compare_with: str | None = None, published: Path | None = None
) -> TableResult:
    """Our results on one data set, above published ones if asked for; `classes` has our errors per class.

    Args:
        inputs: result files of retrainings and of all searches behind them.
        dataset: name of our data set.
        compare_with: name of the published table to print below ours.
        published: folder of the published tables; `config/published` if None.

    Raises:
        UserError: no retraining of the data set, a missing search, a damaged file, an unknown published table.
    """
    rows = our_rows(read_results(inputs), dataset)
    large = _stem(rows, dataset) == IMAGENET
    data, sources = raw_ours(rows, dataset), list[str]()

    # Published rows: the same columns as far as they are known, with numbered sources.
    rules = protocol(compare_with, published) if compare_with else None
    theirs = published_rows(compare_with, published) if compare_with else pd.DataFrame()
    printed = columns_of(rows, theirs, large)
    columns = [each.column for each in printed]
    sections = [Section.of(f"This run, {dataset}" if rules else "", rows, columns)]
    if rules:
        section, sources = _published_section(theirs, printed, rules["data_set"])
        sections.append(section)
        data = pd.concat([data, raw_published(theirs, rules["data_set"], data.columns)])

    notes = [STATISTICS, *few_images_notes(rows), *scale(rows, dataset, rules), *selection(rows), *hardware(rows)]
    notes += [SECONDARY] if rules else []
    notes += [BALANCED_NOTE] if BALANCED in printed else []
    table = Table(dataset, CAPTION.format(dataset), columns, sections, notes, sources)
    return TableResult(table, data, {"classes": raw_classes(rows, dataset)})
