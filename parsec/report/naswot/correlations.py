"""Table: rank correlation of training-free scores with trained accuracy, above the published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from parsec.benchmarks.nasbench201 import DATA, ReportColumns
from parsec.errors import UserError
from parsec.report.correlation import UNTRAINED, correlation
from parsec.report.naswot.inputs import LABELS, Scored, read_inputs
from parsec.report.naswot.published import naswot_rows
from parsec.report.render import Section, Table
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING

HEADINGS = [
    "Accuracy",
    "Trained on",
    "Left out",
    "n",
    "Failed",
    "Kendall's τ",
    "95 % interval",
    "Spearman's ρ",
]
NOTES = [
    "Accuracy after 200 epochs, mean over the benchmark's seeds. The intervals are bootstrapped over architectures.",
    "The published τ is with validation accuracy of networks trained on half of the images, about 1,000 architectures "
    "above 15 %, each scored on images of its own data set; the row on half of the images without those at 15 % and "
    "below is the one that compares. Its accuracies are of test images: the table has no validation accuracy after "
    "200 epochs.",
    "A failed architecture has no score; it is in neither correlation.",
]


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of scores → τ and ρ for every score, data set and protocol.

    Raises:
        UserError: a file that is missing or another one, or fewer than two scored architectures.
    """
    truth, scored = read_inputs("naswot-correlation", inputs)
    sections, rows = [], list[dict[str, Any]]()
    for one in scored:
        found = list(_ours(one, truth))
        rows += found
        sections.append(Section(one.title, [_cells(row) for row in found]))
    theirs = naswot_rows("NAS-Bench-201", metric="kendall_tau")
    sections.append(
        Section(
            "Published: log-determinant, train mode",
            [_published(row.dataset, row.value) for row in theirs.itertuples()],
        )
    )
    sources = list(dict.fromkeys(theirs["source"]))
    table = Table(
        "naswot-correlation",
        "Training-free scores and trained accuracy on NAS-Bench-201",
        HEADINGS,
        sections,
        NOTES,
        sources,
        "lllrrrll",
    )
    return Tabulated(table, pd.DataFrame(rows))


def _ours(scored: Scored, truth: ReportColumns) -> Iterator[dict[str, Any]]:
    half = ("CIFAR-10 test", "half", truth.half)
    cases = [(*half, UNTRAINED), (*half, 0.0), *((f"{LABELS[d]} test", "all", truth.test[d], 0.0) for d in DATA)]
    for accuracy, images, values, above in cases:
        try:
            found = correlation(scored.rows, values, above)
        except ValueError as error:
            raise UserError(f"{scored.title}: {error}; score more architectures") from error
        named = {
            "score": scored.kind,
            "mode": scored.mode,
            "dataset": scored.dataset,
            "seed": scored.seed,
            "accuracy": accuracy,
        }
        yield {**named, "trained_on": images, "above": above, **found._asdict()}


def _cells(row: dict[str, Any]) -> list[str]:
    left_out = f"≤ {row['above']:.0f} %" if row["above"] else NOTHING
    return [
        row["accuracy"],
        f"{row['trained_on']} images" if row["trained_on"] == "all" else "half of the images",
        left_out,
        str(row["n"]),
        str(row["failed"]),
        f"{row['tau']:.3f}",
        f"{row['low']:.3f} to {row['high']:.3f}",
        f"{row['rho']:.3f}",
    ]


def _published(data: str, tau: str) -> list[str]:
    return [
        f"{data} validation",
        "half of the images",
        "≤ 15 %",
        NOTHING,
        NOTHING,
        tau,
        NOTHING,
        NOTHING,
    ]
