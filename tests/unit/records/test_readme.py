"""The numbers on the pages of results and performance are those of a kept record."""

import json
import re
from pathlib import Path

import pytest

from parsec.bench.run import render
from parsec.errors import UserError
from parsec.records.archive import with_tables

ROOT = Path(__file__).resolve().parents[3]


def test_results_of_the_readme_are_a_records():
    page = (ROOT / "README.md").read_text()
    assert page.count("<!-- table ") == page.count("<!-- end of table -->") == 1
    assert with_tables(page, ROOT / "results/records") == page


def test_tables_of_results_are_the_records():
    page = (ROOT / "workflow/docs/results.md").read_text()
    assert page.count("<!-- table ") == page.count("<!-- end of table -->") > 3
    assert with_tables(page, ROOT / "results/records") == page
    outside = re.sub(r"<!-- table .*?<!-- end of table -->", "", page, flags=re.DOTALL)
    assert not re.search(r"^\|", outside, flags=re.MULTILINE), "every table is from a record"


def test_tables_are_filled_in_place(tmp_path):
    (tmp_path / "run/tables").mkdir(parents=True)
    (tmp_path / "run/tables/some.md").write_text(
        "**Caption**\n\n| a |\n| - |\n| 1 |\n| 2 |\n| 3 |\n| 4 |\n\n- a note\n"
    )
    page = "text\n<!-- table run/some, rows 1, 3-4 -->\nold\n<!-- end of table -->\nmore\n"
    filled = page.replace("old", "\n| a |\n| - |\n| 1 |\n| 3 |\n| 4 |\n")
    assert with_tables(page, tmp_path) == filled == with_tables(filled, tmp_path)
    wide = tmp_path / "run/tables/wide.md"
    wide.write_text("| a | b | c |\n| - | - | - |\n| 1 | x \\| y | 3 |\n| 4 | 5 | 6 |\n")
    page = "<!-- table run/wide, rows 1, columns 2-3 -->\n<!-- end of table -->"
    assert "\n| b | c |\n| - | - |\n| x \\| y | 3 |\n" in with_tables(page, tmp_path)
    for rows in ("2-5", "0", "3-2", "1, "):
        with pytest.raises(UserError, match=rf"some\.md: rows {rows}: the table has 1 to 4"):
            with_tables(f"<!-- table run/some, rows {rows} -->\n<!-- end of table -->", tmp_path)
    with pytest.raises(UserError, match="without <!-- end of table -->"):
        with_tables("<!-- table run/some -->\n<!-- table run/some -->\n<!-- end of table -->", tmp_path)
    with pytest.raises(UserError, match=r"other\.md: missing; name a table of a record"):
        with_tables("<!-- table run/other -->\n<!-- end of table -->", tmp_path)


def test_benchmark_lines_are_in_a_record():
    page = (ROOT / "workflow/docs/performance.md").read_text()
    lines = page.split("<!-- bench -->")[1].split("<!-- end of bench -->")[0].split("```")[1].splitlines()[1:]
    documents = [json.loads(path.read_text()) for path in ROOT.glob("results/records/benchmarks/*.json")]
    comparisons = [comparison for document in documents for comparison in document["comparisons"]]
    printed = [line for comparison in comparisons for line in render(comparison).splitlines()]
    assert len(lines) > 10
    assert [line for line in lines if line and line not in printed] == []
