"""Studies on a tabular benchmark: everything with its table, and everything else without it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from workspace import ROOT, Workspace

TABLES = {
    "nasbench201-found",
    "comparison",
    "naswot-ablation",
    "naswot-correlation",
    "naswot-correlation-nasbench101",
    "naswot-evolution",
    "naswot-search",
    "predictor",
    "primed",
    "proposal",
}
FIGURES = {
    "found",
    "found-spending",
    "spending",
    "naswot-ablation",
    "naswot-cost",
    "naswot-kernels",
    "naswot-scatter",
    "predictor",
    "proposal",
}


@pytest.fixture
def workspace(fresh: Workspace) -> Workspace:
    """A fresh workspace with the settings of the studies."""
    shutil.copy(ROOT / "tests/workflow/studies.yaml", fresh.base / "settings.yaml")
    return fresh


def test_every_table_and_figure_is_made(workspace: Workspace, shared_data: Callable[[str], Path]) -> None:
    for name in ("nasbench201", "nasbench101-subset"):
        workspace.change(f"benchmarks.{name[:11]}", str(shared_data(f"{name}.parquet")))
    done = workspace.run("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out" not in done.stderr
    assert {path.stem for path in (workspace.results / "tables").glob("*.md")} >= TABLES
    assert {path.stem for path in (workspace.results / "figures").glob("*.svg")} >= FIGURES
    runs = json.loads((workspace.results / "lookup" / "nasbench201.json").read_text())["runs"]
    assert [(run["method"], run["start"]) for run in runs] == [("parsec", None), ("primed", "scores")]
    assert all(0 < run["test_cifar10"] < 95 for run in runs)
    assert workspace.planned() == {}


def test_missing_table_skips_studies_with_notice(workspace: Workspace) -> None:
    there = workspace.base / "nasbench101.parquet"
    there.touch()
    workspace.change("benchmarks", {"nasbench101": str(there), "nasbench201": "nowhere/nasbench201.parquet"})
    done = workspace.run("--until", "checklist")
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stderr.splitlines() if "left out" in line)
    assert "there is no nowhere/nasbench201.parquet" in line
    assert "import-benchmark" in line
    assert line in (workspace.results / "checklist.md").read_text()
    planned = workspace.planned()
    assert not {"simulate", "lookup", "kernels", "propose", "comparison"} & set(planned)
    assert planned["predictor"] == 1, "NAS-Bench-101 is there"


def test_predictor_searches_darts_without_table(fresh: Workspace) -> None:
    shutil.copy(ROOT / "tests/workflow/predictor-darts.yaml", fresh.base / "settings.yaml")
    done = fresh.run("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.stem for path in (fresh.results / "tables").glob("*.md")}
    assert made == {"predictor", "predictor-claims"}
    assert (fresh.results / "figures" / "predictor.svg").exists()
    trained = pd.read_parquet(fresh.results / "predictor" / "darts" / "seed0" / "trained.parquet")
    assert set(trained["pool"]) == {"uniform-6", "smart-6", "evolution-6", "prior-6"}
    assert fresh.planned() == {}
    fresh.change("predictors.darts.pools", [{"kind": "all"}])
    refused = fresh.run("--dry-run")
    assert refused.returncode != 0
    assert "too large" in refused.stdout + refused.stderr
