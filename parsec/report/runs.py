"""Run folders of the stages that learn π, as the figures read them: metrics and the trajectory of π."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from parsec.errors import UserError
from parsec.records.results import read_results
from parsec.settings.plan import SEARCH_STAGES

TITLES = {"search": "Proxy search", "finetune": "Fine-tuning", "transfer": "Transfer"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """One search: what it was and its epoch rows, the one before training (epoch 0) included."""

    folder: Path
    stage: str
    dataset: str
    method: str
    seed: int
    epochs: tuple[Row, ...]

    @property
    def panel(self) -> str:
        """Title of the panel that it is drawn in."""
        return f"{TITLES[self.stage]}, {self.dataset}"

    @property
    def keys(self) -> Row:
        """The columns that name it in a CSV."""
        return {"stage": self.stage, "dataset": self.dataset, "method": self.method, "seed": self.seed}

    def values(self, name: str) -> tuple[list[int], list[Any]]:
        """Epochs at which a metric was recorded, and its values."""
        found = [(row["epoch"], row[name]) for row in self.epochs if row.get(name) is not None]
        return [epoch for epoch, _ in found], [value for _, value in found]


def run_folder(path: Path) -> Path:
    """The folder of a run, given as itself or as a file inside it."""
    return path if path.is_dir() else path.parent


def _epoch_rows(path: Path) -> tuple[Row, ...]:
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        epochs = [row for row in rows if row["event"] == "epoch"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: metrics cannot be read ({error}); run the stage that writes it again") from error
    if not epochs:
        raise UserError(f"{path}: no epoch was recorded; run the stage that writes it again")
    return tuple(sorted(epochs, key=lambda row: int(row["epoch"])))


def read_run(path: Path) -> Run:
    """Read one run folder.

    Raises:
        UserError: a file of it is missing or damaged, or it is no search.
    """
    folder = run_folder(path)
    result = read_results([folder / "result.json"])[0]
    if result["kind"] != "search":
        raise UserError(f"{folder}: not the folder of a search, but of {result['kind']}; give a folder that holds π")
    named = {key: result[key] for key in ("stage", "dataset", "method", "seed")}
    return Run(folder, **named, epochs=_epoch_rows(folder / "metrics.jsonl"))


def read_panels(paths: Iterable[Path]) -> dict[str, list[Run]]:
    """Runs by panel, panels in the order of the stages, seeds in theirs; each run once.

    Raises:
        UserError: no run was given, or one cannot be read.
    """
    runs = [read_run(folder) for folder in dict.fromkeys(run_folder(path) for path in paths)]
    if not runs:
        raise UserError("the figure needs at least one run folder; give those of the searches")
    panels: dict[str, list[Run]] = {}
    for run in sorted(runs, key=lambda run: (SEARCH_STAGES.index(run.stage), run.dataset, run.seed, run.method)):
        panels.setdefault(run.panel, []).append(run)
    return panels


def read_trajectory(path: Path) -> list[Row]:
    """Rows of `trajectory.parquet` in the folder of a run, in the order of the file.

    Raises:
        UserError: the file is missing or damaged.
    """
    file = run_folder(path) / "trajectory.parquet"
    columns = ["epoch", "step", "cell", "node", "slot", "factor", "choice", "probability"]
    try:
        rows: list[Row] = pq.read_table(file, columns=columns).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: truncated or not a trajectory of π; run the stage that writes it again") from error
    if not rows:
        raise UserError(f"{file}: the trajectory of π is empty; run the stage that writes it again")
    return rows
