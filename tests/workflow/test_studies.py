"""Studies on a tabular benchmark: everything with its table, and everything else without it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from place import ROOT, Place, new_place

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
def place(tmp_path: Path) -> Place:
    made = new_place(tmp_path / "place")
    shutil.copy(ROOT / "tests/workflow/studies.yaml", made.base / "settings.yaml")
    return made


def test_every_table_and_figure_is_made(place: Place, shared_data: Callable[[str], Path]) -> None:
    for name in ("nasbench201", "nasbench101-subset"):
        place.change(f"benchmarks.{name[:11]}", str(shared_data(f"{name}.parquet")))
    done = place.run("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out" not in done.stderr
    assert {path.stem for path in (place.results / "tables").glob("*.md")} >= TABLES
    assert {path.stem for path in (place.results / "figures").glob("*.svg")} >= FIGURES
    runs = json.loads((place.results / "lookup" / "nasbench201.json").read_text())["runs"]
    assert [(run["method"], run["start"]) for run in runs] == [("parsec", None), ("primed", "scores")]
    assert all(0 < run["test_cifar10"] < 95 for run in runs)
    assert place.planned() == {}


def test_missing_table_skips_studies_with_notice(place: Place) -> None:
    there = place.base / "nasbench101.parquet"
    there.touch()
    place.change("benchmarks", {"nasbench101": str(there), "nasbench201": "nowhere/nasbench201.parquet"})
    done = place.run("--until", "checklist")
    assert done.returncode == 0, done.stdout + done.stderr
    line = next(line for line in done.stderr.splitlines() if "left out" in line)
    assert "there is no nowhere/nasbench201.parquet" in line
    assert "import-benchmark" in line
    assert line in (place.results / "checklist.md").read_text()
    planned = place.planned()
    assert not {"simulate", "lookup", "kernels", "propose", "comparison"} & set(planned)
    assert planned["predictor"] == 1, "NAS-Bench-101 is there"


def test_predictor_searches_darts_without_table(tmp_path: Path) -> None:
    place = new_place(tmp_path / "place")
    shutil.copy(ROOT / "tests/workflow/predictor-darts.yaml", place.base / "settings.yaml")
    done = place.run("--cores", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    made = {path.stem for path in (place.results / "tables").glob("*.md")}
    assert made == {"predictor", "predictor-claims"}
    assert (place.results / "figures" / "predictor.svg").exists()
    trained = pd.read_parquet(place.results / "predictor" / "darts" / "seed0" / "trained.parquet")
    assert set(trained["pool"]) == {"uniform-6", "smart-6", "evolution-6", "prior-6"}
    assert place.planned() == {}
    place.change("predictors.darts.pools", [{"kind": "all"}])
    refused = place.run("--dry-run")
    assert refused.returncode != 0
    assert "too large" in refused.stdout + refused.stderr
