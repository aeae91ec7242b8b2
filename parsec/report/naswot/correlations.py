"""Table: rank correlation of training-free scores with trained accuracy, above the published."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from parsec.benchmarks.nasbench201 import DATA, Data, ReportColumns, read_validation
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
    "The published τ is with validation accuracy, about 1,000 architectures, each scored on images of its own data "
    "set; on CIFAR-10 of networks trained on half of the images, those at 15 % and below left out. Where a table has "
    "no validation accuracy after 200 epochs, our row on half of the images above 15 % comes closest, on test images.",
    "A failed architecture has no score; it is in neither correlation.",
]
PROTOCOLS: dict[Data, tuple[str, float]] = {
    "cifar10": ("half", UNTRAINED),
    "cifar100": ("all", 0.0),
    "in16": ("all", 0.0),
}
"""What networks with a validation accuracy were trained on, and up to which accuracy the paper leaves out."""
IMAGES = {"half": "half of the images", "all": "all images"}


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of scores → τ and ρ for every score, data set and protocol.

    Raises:
        UserError: a file that is missing or another one, or fewer than two scored architectures.
    """
    truth, scored = read_inputs("naswot-correlation", inputs)
    validation = read_validation(inputs[0])
    sections, rows = [], list[dict[str, Any]]()
    for one in scored:
        found = list(_ours(one, truth, validation))
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


def _ours(
    scored: Scored, truth: ReportColumns, validation: dict[Data, NDArray[np.float64]]
) -> Iterator[dict[str, Any]]:
    cases = [("CIFAR-10 test", "half", above, truth.half) for above in (UNTRAINED, 0.0)]
    cases += [(f"{LABELS[d]} test", "all", 0.0, truth.test[d]) for d in DATA]
    cases += [(f"{LABELS[d]} validation", *PROTOCOLS[d], values) for d, values in validation.items()]
    for accuracy, images, above, values in cases:
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
    left_out = _left_out(row["above"])
    return [
        row["accuracy"],
        IMAGES[row["trained_on"]],
        left_out,
        str(row["n"]),
        str(row["failed"]),
        f"{row['tau']:.3f}",
        f"{row['low']:.3f} to {row['high']:.3f}",
        f"{row['rho']:.3f}",
    ]


def _left_out(above: float) -> str:
    return f"≤ {above:.0f} %" if above else NOTHING


def _published(label: str, tau: str) -> list[str]:
    images, above = next(PROTOCOLS[data] for data in DATA if LABELS[data] == label)
    return [
        f"{label} validation",
        IMAGES[images],
        _left_out(above),
        NOTHING,
        NOTHING,
        tau,
        NOTHING,
        NOTHING,
    ]
