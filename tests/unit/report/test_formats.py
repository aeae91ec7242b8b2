"""Formats of tables: what is printed, in which unit, and what is cited; `tables_render` checks all other tables."""

import csv
import math

import pandas as pd
import pytest

from parsec.errors import UserError
from parsec.plugins import published_folder
from parsec.report.inputs import published_rows, references
from parsec.report.tables.base import (
    NOTHING,
    Column,
    Section,
    Table,
    TableResult,
    count_column,
    frame_table,
    list_columns,
    number_column,
)
from parsec.report.tables.latex import bibtex, citation, latex
from parsec.report.tables.markup import html, markdown, write_table


def table_of(*rows, headings=("Name", "n"), alignment="lr", **more):
    columns = list_columns(headings, alignment)
    given = {"notes": (), "sections": [Section("", [list(row) for row in rows])]} | more
    return Table("t", "A caption", columns, **given)


def test_empty_columns_stay_in_csv_only(tmp_path):
    table = table_of(("a", "1", NOTHING), ("b", "2", ""), headings=("Name", "n", "Energy (kJ)"), alignment="lrr")
    write_table(TableResult(table, pd.DataFrame({"name": ["a", "b"], "energy": [None, None]})), tmp_path / "t")
    for kind in ("md", "tex", "html"):
        text = (tmp_path / f"t.{kind}").read_text()
        assert "Energy" not in text
        assert "Name" in text
    with (tmp_path / "t.csv").open() as file:
        assert next(csv.reader(file)) == ["name", "energy"]


def test_first_column_stays_even_if_empty():
    assert table_of(("", "1")).without_empty_columns().headings == ["Name", "n"]


@pytest.mark.parametrize(
    ("counts", "others", "heading", "shown"),
    [
        ([51_700, 8_230], [], "Parameters (k)", ["51.70", "8.23"]),
        ([36_900, 21_000], [], "Parameters (k)", ["36.9", "21.0"]),
        ([95_700, 203_000], [], "Parameters (k)", ["95.7", "203.0"]),
        ([146_000, 150_000], [], "Parameters (M)", ["0.146", "0.150"]),
        ([3_600_000, 3_700_000], [], "Parameters (M)", ["3.60", "3.70"]),
        ([55_900], [3.6e6], "Parameters (M)", ["0.0559"]),
        ([99_900, None], [], "Parameters (k)", ["99.9", NOTHING]),
        ([0], [], "Parameters (M)", ["0"]),
    ],
)
def test_a_column_has_one_unit_and_as_many_decimals(counts, others, heading, shown):
    column = count_column("Parameters", lambda row: row, counts, others)
    assert column.heading == heading
    assert [column.cell(count) for count in counts] == shown


def test_numbers_that_are_missing_are_dashes():
    column = number_column("Energy (kJ)", lambda row: row, [math.nan, 1.25, None])
    assert [column.cell(value) for value in (math.nan, 1.25, None)] == [NOTHING, "1.25", NOTHING]


def test_markup_is_not_read_as_such():
    cells = ("DARTS_V2 *x* a|b", "< −2")
    table = table_of(cells, notes=["`estimator.some_key` of _all_ & <b>"], headings=("a\\b", "n"))
    text = markdown(table)
    assert "DARTS_V2 \\*x\\* a\\|b" in text
    assert "- `estimator.some_key` of \\_all\\_ & \\<b>" in text
    page = html(table)
    assert "<code>estimator.some_key</code> of _all_ &amp; &lt;b&gt;" in page
    assert r"\texttt{estimator.some\_key}" in latex(table)


def test_sections_without_a_title_have_no_row():
    assert "****" not in markdown(table_of(("a", "1")))
    assert '"rowgroup"' not in html(table_of(("a", "1")))
    assert '"rowgroup"' in html(table_of(sections=[Section("Ours", [["a", "1"]])]))


def test_single_letter_columns_have_three_hyphens():
    rule = markdown(table_of(("a", "1"), headings=("a", "p"))).splitlines()[3]
    assert rule == "| :--- | ---: |"


def test_pages_of_others_stay(tmp_path):
    result = TableResult(table_of(("a", "1")), pd.DataFrame({"a": [1]}))
    (tmp_path / "t.html").write_text("<!DOCTYPE html>\n<p>mine</p>\n")
    with pytest.raises(UserError, match=r"t\.html: exists and is another kind of file"):
        write_table(result, tmp_path / "t")
    assert "mine" in (tmp_path / "t.html").read_text()
    (tmp_path / "t.html").unlink()
    for _ in range(2):
        write_table(result, tmp_path / "t")


def test_further_numbers_are_on_the_page(tmp_path):
    classes = pd.DataFrame({"architecture": ["x", "x"], "class": ["a", "b"], "error_mean": [1.25, None]}, dtype=object)
    write_table(TableResult(table_of(("a", "1")), pd.DataFrame(), {"classes": classes}), tmp_path / "t")
    page = (tmp_path / "t.html").read_text()
    assert "<h2>Classes</h2>" in page
    assert "1.25</td>" in page
    assert "Architecture" not in page, "it is the same in all rows"
    assert frame_table("classes", classes).headings == ["Class", "Error mean"]


def test_sources_are_cited_by_key(tmp_path):
    sources = ["DARTS, arXiv 1806.09055v1, as quoted by PARSEC (arXiv 1902.05116)", "a letter"]
    rows = [["a", "[1]"], ["b", "[2]"]]
    table = table_of(sections=[Section("", rows)], headings=("Name", "Source"), alignment="ll", sources=sources)
    text, bib = latex(table), bibtex(table)
    assert r"a & \cite{liu2019darts,casale2019parsec} \\" in text
    assert r"b & {}[2] \\" in text
    assert r"\item {}[2] a letter." in text
    assert "@misc{liu2019darts,\n  author = {Hanxiao Liu and Karen Simonyan and Yiming Yang}," in bib
    assert bib.count("@misc") == 2


@pytest.mark.parametrize("name", ["cifar10", "imagenet"])
def test_every_published_row_has_a_reference(name):
    sources = published_rows(name, published_folder())["source"]
    assert [source for source in sources if not citation(source)] == []


def test_references_are_complete_and_distinct():
    found = references()
    assert len({reference.key for reference in found}) == len({reference.arxiv for reference in found}) == len(found)
    assert all(reference.authors and reference.title and reference.year for reference in found)


def test_long_words_do_not_widen_latex():
    names = ["A rather long name of an architecture that is broken into several lines" * 2, "b"]
    rows = [(name, *["12.34 ± 5.67 [−1.00, +2.00]"] * 3) for name in names]
    columns = [Column("Name", lambda row: row[0], "l"), *list_columns(["", "First", "Second", "Third"], "rrrr")[1:]]
    text = latex(Table("t", "c", columns, [Section.of("A title," + " long" * 30, rows, columns)], []))
    assert r">{\raggedright\arraybackslash}p{" in text
    assert r"\multicolumn{4}{@{}p{" in text
