"""What the tables and figures on NASWOT read: a benchmark's table, and files of scores."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.benchmarks.nasbench201 import ReportColumns, read_report_columns
from parsec.errors import UserError
from parsec.scores.table import read_scores
from parsec.space.nasbench201 import SIZE

LABELS = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "in16": "ImageNet16-120"}
"""Data sets of NAS-Bench-201 as the papers print them."""
KINDS = {"relu_log_determinant": "log-determinant", "jacobian_eigenvalues": "Jacobian eigenvalues"}


class Scored(NamedTuple):
    """One file of scores: its rows, and what made them."""

    rows: pd.DataFrame
    kind: str
    mode: str
    """Batch norm: `train` or `eval`."""
    dataset: str
    """Whose images it was scored on."""
    seed: int
    settings: str
    """Everything that made it but the seed, as JSON: files that agree in it are draws of one scoring."""

    @property
    def title(self) -> str:
        """What was scored how, above its rows of a table."""
        return f"This run: {KINDS[self.kind]}, {self.mode} mode, images of {self.dataset}, seed {self.seed}"

    def by_index(self) -> NDArray[np.float64]:
        """Scores by the benchmark's index, [15625]; NaN where none is known, −∞ where scoring failed."""
        found = np.full(SIZE, np.nan)
        failed = (self.rows["status"] == "failed").to_numpy()
        found[self.rows["index"]] = np.where(failed, -np.inf, self.rows["score"].to_numpy(dtype=float))
        return found


def read_scored(path: Path, space: str = "nasbench201") -> Scored:
    """One `scores.parquet` of this space.

    Raises:
        UserError: missing, damaged, or scores of another space.
    """
    rows, about = read_scores(path)
    settings = about["provenance"]["settings"]
    if settings["space"] != space:
        raise UserError(f"{path}: scores of {settings['space']}; give scores of {space}")
    score = settings["score"]
    text = json.dumps(settings, sort_keys=True)
    return Scored(rows, score["kind"], score["mode"], settings["dataset"], about["seed"], text)


def by_scoring(scored: Sequence[Scored]) -> list[list[Scored]]:
    """The draws of every scoring, in the order in which they were given.

    Raises:
        UserError: a draw is given twice.
    """
    found: dict[str, list[Scored]] = {}
    for one in scored:
        found.setdefault(one.settings, []).append(one)
    for draws in found.values():
        if len({one.seed for one in draws}) < len(draws):
            raise UserError(f"{draws[0].title}: two files of one scoring have the same seed; give each draw once")
    return list(found.values())


def read_inputs(name: str, inputs: Sequence[Path]) -> tuple[ReportColumns, list[Scored]]:
    """The benchmark's table, given first, and the files of scores after it; `name` is who asks.

    Raises:
        UserError: fewer than two files, or one that is not what its place says.
    """
    if len(inputs) < 2:
        raise UserError(f"{name}: give the benchmark's table first, then one scores.parquet or more")
    return read_report_columns(inputs[0]), [read_scored(path) for path in inputs[1:]]
