"""The command `table`: three files of one table, and what it refuses."""

import numpy as np
import pandas as pd
import pytest

from parsec.cli import main
from parsec.report.tables.registry import table_writer

NAME = "naswot-correlation"


def test_table_has_all_formats(benchmark, scores, tmp_path):
    output = tmp_path / "made" / "table"
    assert main(["table", NAME, "--output", str(output), str(benchmark), str(scores())]) == 0
    rows = pd.read_csv(output.with_suffix(".csv"))
    # Scores of the fixture are the CIFAR-10 test accuracies themselves, and one architecture failed.
    whole = rows[(rows.accuracy == "CIFAR-10 test") & (rows.trained_on == "all")]
    assert whole.tau.item() == pytest.approx(1)
    assert whole.failed.item() == 1
    assert "0.574" in output.with_suffix(".md").read_text(encoding="utf-8")
    assert r"\begin{tabular}{lllrrrll}" in output.with_suffix(".tex").read_text(encoding="utf-8")


def test_equal_inputs_give_equal_bytes(benchmark, scores, tmp_path):
    for name in ("a", "b"):
        table_writer(NAME)([benchmark, scores()], tmp_path / name)
    for kind in ("csv", "md", "tex"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()


def test_unknown_table_is_refused(capsys, tmp_path):
    assert main(["table", "what", "--output", str(tmp_path / "t"), "file"]) == 2
    assert f"there are accuracy, {NAME}" in capsys.readouterr().err


def test_the_benchmark_comes_first(benchmark, scores, capsys, tmp_path):
    assert main(["table", NAME, "--output", str(tmp_path / "t"), str(scores()), str(benchmark)]) == 2
    assert "not a table of NAS-Bench-201" in capsys.readouterr().err
    assert main(["table", NAME, "--output", str(tmp_path / "t"), str(benchmark)]) == 2
    assert "give the benchmark's table first" in capsys.readouterr().err
    assert not list(tmp_path.glob("t.*"))


def test_the_interval_holds_the_correlation(benchmark, scores, tmp_path):
    table_writer(NAME)([benchmark, scores(noise=5.0)], tmp_path / "t")
    rows = pd.read_csv(tmp_path / "t.csv")
    assert np.all((rows.low <= rows.tau) & (rows.tau <= rows.high))
