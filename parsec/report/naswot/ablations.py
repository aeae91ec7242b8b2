"""Table: how much training-free scores depend on images, weights and the size of the batch (NASWOT, figure 5)."""

from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import kendalltau

from parsec.benchmarks.nasbench201 import read_report_columns
from parsec.errors import UserError
from parsec.report.naswot.inputs import LABELS
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING, significant
from parsec.scores.ablated import read_ablation

HEADINGS = ["Condition", "Drawn anew", "Repeats", "Networks", "Spread within", "Spread between", "τ between repeats",
            "τ with accuracy"]  # fmt: skip
NOTES = [
    "Spread within: standard deviation of a network's score over repeats, root of the mean square over networks. "
    "Spread between: standard deviation of the networks' mean scores. Where the first is small beside the "
    "second, one repeat is enough to order these networks.",
    "τ between repeats: Kendall's, mean over all pairs of repeats. τ with accuracy: with CIFAR-10 test accuracy after "
    "200 epochs, mean over repeats; few networks make it coarse. Networks without a score in some repeat are left out.",
]


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of ablated scores → spread and order of scores, by condition.

    Raises:
        UserError: a file that is missing or another one.
    """
    if len(inputs) < 2:
        raise UserError("naswot-ablation: give the benchmark's table first, then one ablation.parquet or more")
    accuracies, rows, sections = read_report_columns(inputs[0]).test["cifar10"], list[dict[str, Any]](), []
    for path in inputs[1:]:
        found, about = read_ablation(path)
        settings = about["provenance"]["settings"]
        varied = {condition["name"]: condition["varies"] for condition in settings["conditions"]}
        here = [{"dataset": settings["dataset"], **row} for row in _measured(found, varied, accuracies)]
        rows += here
        label = LABELS.get(settings["dataset"], settings["dataset"])
        sections.append(Section(f"This run, images of {label}, seed {about['seed']}", [_cells(row) for row in here]))
    caption = "Ablations of training-free scores on NAS-Bench-201"
    return Tabulated(Table("naswot-ablation", caption, HEADINGS, sections, NOTES, [], "llrrrrrr"), pd.DataFrame(rows))


def score_matrix(rows: pd.DataFrame) -> pd.DataFrame:
    """Scores of one condition, a row a network by index, a column a repeat; networks with a failed score left out."""
    return rows.pivot(index="index", columns="repeat", values="score").dropna()


def _measured(rows: pd.DataFrame, varied: dict[str, str], accuracies: NDArray[np.float64]) -> Iterator[dict[str, Any]]:
    for name, varies in varied.items():
        matrix = score_matrix(rows[rows["condition"] == name])
        scores = matrix.to_numpy(dtype=float)
        named = {"condition": name, "varies": varies, "repeats": scores.shape[1], "networks": scores.shape[0]}
        pairs = combinations(scores.T, 2)
        yield {
            **named,
            "within": _within(scores),
            "between": float(scores.mean(axis=1).std(ddof=1)) if scores.shape[0] > 1 else None,
            "tau_between_repeats": _mean([kendalltau(one, other).statistic for one, other in pairs]),
            "tau_with_accuracy": _mean([kendalltau(one, accuracies[matrix.index]).statistic for one in scores.T]),
        }


def _within(scores: NDArray[np.float64]) -> float | None:
    """Spread over repeats; from differences, so that equal scores have none at all."""
    if scores.shape[1] < 2:
        return None
    return float(np.sqrt((scores - scores[:, :1]).var(axis=1, ddof=1).mean()))


def _mean(values: Sequence[float]) -> float | None:
    """None where there is no order: one repeat, or networks of one score."""
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else None


def _cells(row: dict[str, Any]) -> list[str]:
    numbers = [row["within"], row["between"], row["tau_between_repeats"], row["tau_with_accuracy"]]
    printed = [NOTHING if value is None else significant(value, 3) for value in numbers]
    return [row["condition"], row["varies"], str(row["repeats"]), str(row["networks"]), *printed]
