"""The numbers on the pages of results and performance are those of a kept record."""

import json
from pathlib import Path

from parsec.bench.run import text

ROOT = Path(__file__).resolve().parents[3]


def test_result_rows_are_in_a_record():
    page = (ROOT / "workflow/docs/results.md").read_text()
    block = page.split("<!-- results -->")[1].split("<!-- end of results -->")[0]
    rows = [line for line in block.splitlines() if line.startswith("|")]
    tables = "\n".join(path.read_text() for path in ROOT.glob("results/records/*/tables/*.md"))
    assert len(rows) > 3
    written = set(tables.splitlines())
    # Delimiter rows say nothing but the alignment.
    assert [row for row in rows if row not in written and not set(row) <= set("|:- ")] == []


def test_benchmark_lines_are_in_a_record():
    page = (ROOT / "workflow/docs/performance.md").read_text()
    lines = page.split("<!-- bench -->")[1].split("<!-- end of bench -->")[0].split("```")[1].splitlines()[1:]
    documents = [json.loads(path.read_text()) for path in ROOT.glob("results/records/benchmarks/*.json")]
    printed = [
        line for document in documents for contest in document["contests"] for line in text(contest).splitlines()
    ]
    assert len(lines) > 10
    assert [line for line in lines if line and line not in printed] == []
