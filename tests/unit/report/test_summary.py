"""The summary has the numbers of the records, and says what made them."""

import re

import pytest
from docutils.core import publish_string
from formats import Page

from parsec.errors import UserError
from parsec.report.summary import write_summary
from parsec.space.nasbench201 import architectures


def summary(results, output):
    write_summary(results, output)
    return output.read_text(encoding="utf-8")


def test_headline_entropy_and_provenance(results, tmp_path):
    text = summary(results, tmp_path / "s.html")
    page = Page(text)
    assert page.tags.count("table") == 3
    assert page.links == []
    for cell in ("3.60 ± 0.71", "2 × 3", "10.00 ± 0.00", "Fine-tuning", "Parameters (k)"):
        assert cell in page.cells
    assert "<code>0123456789ab</code>" in text
    assert "Synthetic CPU, 2 cores, 8 GiB, Linux" in text
    assert "python 3.11.9 · torch 2.13.0" in text
    assert "4 searches, 9 trainings from scratch" in page.cells


def test_entropy_is_by_its_largest(study, tmp_path):
    cells = Page(summary([study.search()], tmp_path / "s.html")).cells
    assert {"50.28", "20"} <= set(cells)


def test_random_search_has_no_entropy(study, tmp_path):
    text = summary([study.search(method="random"), study.retrain(3.0, method="random")], tmp_path / "s.html")
    assert "Entropy" not in text.replace("entropy", "")


def test_looked_up_accuracies_stand_for_errors(study, tmp_path):
    searches = [study.nasbench201(architectures()[5], seed=seed) for seed in (0, 1)]
    text = summary([*searches, study.lookup()], tmp_path / "s.html")
    assert "90.50 ± 0.71" in text
    assert re.search("Architectures selected on NAS-Bench-201", text)
    # A record has them all in one file.
    lines = [path.read_bytes() + b"\n" for path in (*searches, study.folder / "lookup/parsec.json")]
    (study.folder / "results.jsonl").write_bytes(b"".join(lines))
    assert "90.50 ± 0.71" in summary([study.folder / "results.jsonl"], tmp_path / "r.html")


def test_no_results_is_an_error(study, tmp_path):
    with pytest.raises(UserError, match="the summary needs result files"):
        write_summary([study.lookup()], tmp_path / "s.html")


def test_missing_search_is_an_error(study, tmp_path):
    with pytest.raises(UserError, match="is missing"):
        write_summary([study.retrain(3.0)], tmp_path / "s.html")


def test_front_page_and_last_lines_state_errors(results, tmp_path):
    summary(results, tmp_path / "s.html")
    lines = (tmp_path / "s.txt").read_text().splitlines()
    assert "Test error (%):" in lines
    assert any(re.fullmatch(r"  PARSEC \(.*\): 3\.60 ± 0\.71 \(n = 2 × 3\)", line) for line in lines)
    assert any(re.fullmatch(r"  PARSEC, .*: 10\.00 ± 0\.00.* \(n = 2\)", line) for line in lines)
    # As Snakemake reads it; a mistake in the markup is an error.
    front = publish_string((tmp_path / "s.rst").read_text(), writer="html5", settings_overrides={"halt_level": 2})
    assert [cell in front.decode() for cell in ("3.60 ± 0.71", "10.00 ± 0.00", "0123456789ab")] == [True] * 3
