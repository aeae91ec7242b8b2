"""The records in the repository: small, readable by this version, and the source of both pages."""

import re
from pathlib import Path

import pandas as pd
import pytest

from parsec.config.load import load
from parsec.records import archive
from parsec.records.documents import KINDS, RESULTS_FILE, read_documents, read_lines

ROOT = Path(__file__).resolve().parents[3]
RECORDS = ROOT / "results/records"
RUNS = sorted(path.parent for path in RECORDS.glob("*/settings.yaml"))
PAGES = (*ROOT.glob("*.md"), *RECORDS.glob("*.md"), *ROOT.glob("results/*.md"), *ROOT.glob("workflow/docs/*.md"))


@pytest.mark.parametrize("record", RUNS, ids=[record.name for record in RUNS])
def test_record_is_readable(record):
    assert load(record / "settings.yaml").name
    lines = read_lines(record / RESULTS_FILE)
    assert len(read_documents([record / RESULTS_FILE], *KINDS)) == len(lines) > 0
    rows = pd.read_json(record / RESULTS_FILE, lines=True)
    assert rows["file"].tolist() == [line["file"] for line in lines]


def test_pages_are_made_from_records(tmp_path, monkeypatch):
    written = {}
    monkeypatch.setattr(archive, "write_outputs", written.update)
    archive.write_index(RECORDS)
    assert len(written) == 2
    for path, text in written.items():
        assert path.read_text() == text, f"{path}: renew it with `parsec record results/records`"


def test_records_hold_what_pages_show():
    files = [path for path in RECORDS.rglob("*") if path.is_file()]
    assert len(files) <= 130
    assert sum(path.stat().st_size for path in files) <= 6e6
    shown = {
        (page.parent / link).resolve()
        for page in PAGES
        for link in re.findall(r"""(?:\]\(|src=")([^)#:"]*/records/[^)#"]*)[)"]""", page.read_text())
    }
    assert [path for path in shown if not path.exists()] == []
    assert {path.resolve() for path in files if "figures" in path.parts} <= shown
