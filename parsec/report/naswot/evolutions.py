"""Table: simulated searches after so many trainings, above the published ones of 12,000 seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from parsec.benchmarks.nasbench201 import DATA, ReportColumns, read_report_columns
from parsec.errors import UserError
from parsec.records.statistics import Summary, summarise
from parsec.report.naswot.inputs import LABELS
from parsec.report.naswot.published import ICML, naswot_rows
from parsec.report.render import Section, Table
from parsec.report.simulated import METHODS, Simulated, incumbents, read_simulated
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING, mean_and_std

HEADINGS = ["Search", "Runs", *(f"{label} (%)" for label in LABELS.values()), "Source"]
TRAINED = (25, 50, 100, 200)
"""Trainings after which the table looks, as far as the budget goes; the last of the budget is added."""
UNITS = {"trained": "trainings", "seconds": "s"}
PUBLISHED = {
    "RS": "Random search",
    "REINFORCE": "REINFORCE",
    "REA": "Regularised evolution",
    "AREA": "Assisted evolution",
}
NOTES = [
    "Accuracy after 200 epochs of the architecture that was best so far, mean ± sample standard deviation over "
    "repeats. Ours chose by validation accuracy after 12 epochs on CIFAR-10 unless said otherwise.",
    "The published budget is 12,000 seconds of such trainings on the authors' count. A table without times counts "
    "trainings instead, so that no row of ours has exactly that budget. Of assisted evolution three published values "
    "are known, which are taken for those of validation.",
]


def tabulate(inputs: list[Path]) -> Tabulated:
    """The benchmark's table and files of simulated searches → test accuracy of what they had found.

    Raises:
        UserError: a file that is missing or another one.
    """
    if len(inputs) < 2:
        raise UserError("naswot-evolution: give the benchmark's table first, then one simulations.parquet or more")
    truth, rows, sections = read_report_columns(inputs[0]), list[dict[str, Any]](), list[Section]()
    for simulated in (read_simulated(path, "nasbench201") for path in inputs[1:]):
        found = list(_reached(simulated, truth))
        rows += found
        sections += _sections(simulated, found)
    theirs, sources = _published()
    table = Table(
        "naswot-evolution",
        "Simulated searches on NAS-Bench-201",
        HEADINGS,
        [*sections, *theirs],
        NOTES,
        sources,
        "lrrrrl",
    )
    return Tabulated(table, pd.DataFrame(rows))


def _reached(simulated: Simulated, truth: ReportColumns) -> Iterator[dict[str, Any]]:
    limited = simulated.seconds is not None
    earlier = set() if limited else {float(count) for count in TRAINED if count < simulated.budget}
    points = np.array(sorted(earlier | {simulated.spent if limited else float(simulated.budget)}))
    cost = "seconds" if limited else "trained"
    for method in (name for name in METHODS if name in set(simulated.rows["method"])):
        found = incumbents(simulated.rows[simulated.rows["method"] == method], points, cost)
        for place, spent in enumerate(points):
            for data in DATA:
                reached = summarise([float(value) for value in truth.test[data][found[:, place]]])
                named = {
                    "searched_on": simulated.dataset,
                    "method": method,
                    "spent": spent,
                    "unit": cost,
                    "test_of": data,
                }
                yield {**named, **reached._asdict()}


def _sections(simulated: Simulated, rows: list[dict[str, Any]]) -> Iterator[Section]:
    for spent, unit in dict.fromkeys((row["spent"], row["unit"]) for row in rows):
        here = [row for row in rows if row["spent"] == spent]
        lines = []
        for method in dict.fromkeys(row["method"] for row in here):
            cells = [mean_and_std(_summary(row)) for row in here if row["method"] == method]
            lines.append([METHODS[method], str(simulated.repeats), *cells, ""])
        yield Section(f"This run, search on {LABELS[simulated.dataset]}, {spent:,.0f} {UNITS[unit]}, test", lines)


def _summary(row: dict[str, Any]) -> Summary:
    return Summary(row["n"], row["mean"], row["std"], row["low"], row["high"])


def _published() -> tuple[list[Section], list[str]]:
    rows = naswot_rows("NAS-Bench-201", metric="accuracy_pct", paper_version=ICML)
    rows = rows[rows["method"].isin(PUBLISHED)]
    sources = list(dict.fromkeys(rows["source"]))
    sections = []
    for split, group in rows.groupby("split"):
        lines = [_printed(method, group, sources) for method in PUBLISHED if method in set(group["method"])]
        sections.append(Section(f"Published, 12,000 s, {split}", lines))
    return sections, sources


def _printed(method: str, rows: pd.DataFrame, sources: list[str]) -> list[str]:
    found = rows[rows["method"] == method].set_index("dataset")
    cells = [f"{found['value'][label]} ± {found['std'][label]}" for label in LABELS.values()]
    first = found.iloc[0]
    return [PUBLISHED[method], first["runs"] or NOTHING, *cells, f"[{sources.index(first['source']) + 1}]"]
