"""`.ci/compare/compare diff`: every number counts but those that vary from run to run."""

import subprocess
import sys

import pandas as pd
import pytest
from workspace import ROOT


def diff(old, new):
    command = [sys.executable, ROOT / ".ci/compare/compare", "diff", old, new]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("column", "status"), [("logit", 1), ("candidate_accuracy", 1), ("seconds", 0), ("date", 0), ("log", 0)]
)
def test_changed_column_is_a_difference_unless_it_varies(tmp_path, column, status):
    for name, value in (("old", 1.0), ("new", 2.0)):
        (tmp_path / name / "run").mkdir(parents=True)
        pd.DataFrame({column: [value]}).to_parquet(tmp_path / name / "run" / "pi.parquet")
    done = diff(tmp_path / "old", tmp_path / "new")
    assert done.returncode == status, done.stderr
    assert f"{'DIFFERENT' if status else 'identical'} run/pi.parquet" in done.stdout


def test_folders_without_results_are_refused(tmp_path):
    done = diff(tmp_path, tmp_path / "mistyped")
    assert done.returncode == 1
    assert "no results in" in done.stderr
