"""Run folders of the stages that learn π, as the figures read them: metrics and the trajectory of π."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import pyarrow as pa

from parsec.config.outputs import SEARCH_STAGES
from parsec.errors import UserError
from parsec.records.documents import read_results

TITLES = {"search": "Proxy search", "finetune": "Fine-tuning", "transfer": "Transfer"}
KEYS = ["stage", "dataset", "method", "seed"]
"""The columns that name a run."""
ORDER = ["stage", "dataset", "seed", "method"]
"""How runs are sorted: panels in the order of the stages, seeds in theirs."""


def run_folder(path: Path) -> Path:
    """The folder of a run, given as itself or as a file inside it."""
    return path if path.is_dir() else path.parent


def _epochs(path: Path) -> pd.DataFrame:
    try:
        rows = pd.read_json(path, lines=True, dtype=False, precise_float=True)
        epochs = rows[rows["event"] == "epoch"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: metrics cannot be read ({error}); run the stage that writes it again") from error
    if epochs.empty:
        raise UserError(f"{path}: no epoch was recorded; run the stage that writes it again")
    return epochs


def read_run(path: Path) -> pd.DataFrame:
    """Epoch rows of one search, the one before training (epoch 0) included, with `KEYS` and the title of its `panel`.

    Raises:
        UserError: a file of it is missing or damaged, or it is no search.
    """
    folder = run_folder(path)
    result = read_results([folder / "result.json"])[0]
    if result["kind"] != "search":
        raise UserError(f"{folder}: not the folder of a search, but of {result['kind']}; give a folder that holds π")
    named = {key: result[key] for key in KEYS}
    return _epochs(folder / "metrics.jsonl").assign(**named, panel=f"{TITLES[result['stage']]}, {result['dataset']}")


def read_runs(paths: Iterable[Path]) -> pd.DataFrame:
    """Epoch rows of all runs, sorted by `ORDER` and epoch; each run once.

    Raises:
        UserError: no run was given, or one cannot be read.
    """
    runs = [read_run(folder) for folder in dict.fromkeys(run_folder(path) for path in paths)]
    if not runs:
        raise UserError("the figure needs at least one run folder; give those of the searches")
    rows = pd.concat(runs)
    stages = pd.Categorical(rows["stage"], SEARCH_STAGES)
    return rows.assign(stage=stages).sort_values([*ORDER, "epoch"], ignore_index=True)


def read_trajectory(path: Path) -> pd.DataFrame:
    """Rows of `trajectory.parquet` in the folder of a run, in the order of the file.

    Raises:
        UserError: the file is missing or damaged.
    """
    file = run_folder(path) / "trajectory.parquet"
    columns = ["epoch", "step", "cell", "node", "slot", "factor", "choice", "probability"]
    try:
        rows = pd.read_parquet(file, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise UserError(f"{file}: truncated or not a trajectory of π; run the stage that writes it again") from error
    if rows.empty:
        raise UserError(f"{file}: the trajectory of π is empty; run the stage that writes it again")
    return rows
