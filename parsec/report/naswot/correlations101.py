"""Table: rank correlation of training-free scores with accuracy on NAS-Bench-101, or the part of it that is given."""

from pathlib import Path
from typing import Any

import pandas as pd

from parsec.benchmarks.nasbench101 import read_search_columns
from parsec.errors import UserError
from parsec.report.correlation import Reals, correlation
from parsec.report.naswot.inputs import KINDS, read_scored
from parsec.report.naswot.published import naswot_rows
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING

NAME = "naswot-correlation-nasbench101"
HEADINGS = ["Score", "Scored", "Failed", "Of the table's", "Kendall's τ", "95 % interval", "Spearman's ρ"]
NOTES = [
    "Validation accuracy on CIFAR-10 after 108 epochs. The interval is bootstrapped over architectures.",
    "The published τ is of a random sample of the whole benchmark, of 423,624 cells; a part of it that was not drawn "
    "at random has another τ.",
    "A failed architecture has no score; it is in neither correlation.",
]


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of scores of its architectures → τ and ρ for every score.

    Raises:
        UserError: a file that is missing or another one, or fewer than two scored architectures.
    """
    if len(inputs) < 2:
        raise UserError(f"{NAME}: give the benchmark's table first, then one scores.parquet or more")
    accuracies = read_search_columns(inputs[0]).validation
    rows = [_row(path, accuracies) for path in inputs[1:]]
    theirs = naswot_rows("NAS-Bench-101", metric="kendall_tau")
    published = [
        [KINDS["relu_log_determinant"], NOTHING, NOTHING, NOTHING, row.value, NOTHING, NOTHING]
        for row in theirs.itertuples()
    ]
    sections = [Section("This run", [_cells(row) for row in rows]), Section("Published", published)]
    caption = "Training-free scores and trained accuracy on NAS-Bench-101"
    sources = list(dict.fromkeys(theirs["source"]))
    return Tabulated(Table(NAME, caption, HEADINGS, sections, NOTES, sources, "lrrrrll"), pd.DataFrame(rows))


def _row(path: Path, accuracies: Reals) -> dict[str, Any]:
    scored = read_scored(path, "nasbench101")
    try:
        found = correlation(scored.rows, accuracies)
    except (ValueError, IndexError) as error:
        raise UserError(f"{path}: {error}; score more architectures of this table") from error
    named = {"score": scored.kind, "mode": scored.mode, "dataset": scored.dataset, "seed": scored.seed}
    return {**named, "architectures": len(accuracies), **found._asdict()}


def _cells(row: dict[str, Any]) -> list[str]:
    name = f"{KINDS[row['score']]}, {row['mode']} mode, images of {row['dataset']}"
    interval = f"{row['low']:.3f} to {row['high']:.3f}"
    counts = [str(row[key]) for key in ("n", "failed", "architectures")]
    return [name, *counts, f"{row['tau']:.3f}", interval, f"{row['rho']:.3f}"]
