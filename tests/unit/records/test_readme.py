"""The numbers of the README are those of a kept record."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_every_row_of_results_stands_in_a_record():
    readme = (ROOT / "README.md").read_text()
    block = readme.split("<!-- results -->")[1].split("<!-- end of results -->")[0]
    rows = [line for line in block.splitlines() if line.startswith("|")]
    tables = "\n".join(path.read_text() for path in ROOT.glob("results/records/*/tables/*.md"))
    assert len(rows) > 3
    assert [row for row in rows if row not in tables.splitlines()] == []
