"""Table: true accuracies of what search methods found on NAS-Bench-201, above the published."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd

from parsec.benchmarks.nasbench201 import DATA, Data
from parsec.errors import UserError
from parsec.records.documents import read_document
from parsec.records.statistics import Summary, summarise
from parsec.report.published import read_rows
from parsec.report.render import Section, Table
from parsec.report.search_cost import CPU_HOURS, GPU_DAYS, SECONDS
from parsec.report.tabulated import Tabulated
from parsec.report.text import NOTHING, cost_text, mean_and_std

LABELS: dict[Data, str] = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "in16": "ImageNet16-120"}
HEADINGS = [
    "Method",
    "Runs",
    *(f"{label} (%)" for label in LABELS.values()),
    "Rank on CIFAR-10",
    "Search cost of a run",
    "Searched on",
]
NOTES = [
    "Test accuracy after 200 epochs on all training images, mean over the benchmark's seeds; ± is the sample "
    "standard deviation over runs (published: as printed there). "
    "Architectures were searched on one data set and looked up on all three.",
    "The rank is the mean over runs; 1 is the best of 15,625.",
    "What a start from scores had cost is in the tables primed and comparison, not here.",
    "Published searches ran with networks, budgets and machines of their own.",
]


def tabulate(inputs: Sequence[Path]) -> Tabulated:
    """Files of `lookup` (JSON) and, if given, the published rows (CSV) → the table and its numbers.

    Raises:
        UserError: no file of `lookup` was given, one is damaged, or the same run is in two.
    """
    documents = [read_document(path, "lookup") for path in inputs if path.suffix == ".json"]
    if not documents:
        raise UserError("the table found needs what `python -m parsec lookup` wrote; give its JSON files")
    runs = pd.DataFrame([run for document in documents for run in document["runs"]])
    if runs.duplicated(["stage", "dataset", "method", "seed"]).any():
        raise UserError("the table found was given one run twice; give every run once")
    groups = runs.groupby(["stage", "dataset", "method"], sort=False)
    ours = [_ours(found) for _, found in groups]
    published = [_published(row) for path in inputs if path.suffix == ".csv" for row in _rows_of(path)]
    sections = [Section("This run", [_cells(row) for row in ours]), Section("The table itself", _bounds(documents[0]))]
    if published:
        sections.append(Section("Published", [_cells(row) for row in published]))
    sources = list(dict.fromkeys(row["source"] for row in published))
    table = Table("nasbench201-found", "Architectures found on NAS-Bench-201", HEADINGS, sections, NOTES, sources)
    return Tabulated(table, pd.DataFrame([_numbers(row) for row in ours + published]))


def _ours(runs: pd.DataFrame) -> dict[str, Any]:
    """One row of the table: the runs of a method in a stage on a data set."""
    stage, dataset, method = runs[["stage", "dataset", "method"]].iloc[0]
    costs = runs["cost"].to_list()
    units = [GPU_DAYS if cost["accelerator"] else CPU_HOURS for cost in costs]
    spent = {unit: fmean(c["device_seconds"] for c, u in zip(costs, units, strict=True) if u == unit) for unit in units}
    return {
        "method": method if stage == "search" else f"{method}, {stage}",
        "runs": len(runs),
        **{data: summarise(runs[f"test_{data}"].to_list()) for data in DATA},
        "rank": fmean(runs["rank_cifar10"]),
        "cost": {unit: seconds / SECONDS[unit] for unit, seconds in spent.items()},
        "searched_on": dataset,
        "source": "this run",
    }


def _rows_of(path: Path) -> list[dict[str, Any]]:
    """One row a published method: the final paper's, test accuracies by data set."""
    rows = read_rows(path)
    try:
        kept = (
            rows["paper_version"].eq("ICML2021") & rows["search_space"].eq("NAS-Bench-201") & rows["split"].eq("test")
        )
        rows = rows[kept & rows["metric"].eq("accuracy_pct")]
        groups = rows.groupby(["method", "sample_size_n"], sort=False)
        return [{**found.iloc[0], "values": found.set_index("dataset")[["value", "std"]]} for _, found in groups]
    except KeyError as error:
        raise UserError(f"{path}: no published table of NASWOT, it lacks {error}; restore config/published") from error


def _published(row: dict[str, Any]) -> dict[str, Any]:
    values = row["values"].astype(float)
    drawn = f", N = {row['sample_size_n']}" if row["sample_size_n"] else ""
    seconds, runs = row["search_time_s"], int(row["runs"])
    return {
        "method": row["method"] + drawn,
        "runs": runs,
        **{
            data: Summary(runs, values["value"][label], values["std"][label], None, None)
            for data, label in LABELS.items()
        },
        "rank": None,
        "cost": {GPU_DAYS: float(seconds) / SECONDS[GPU_DAYS]} if seconds else {},
        "searched_on": NOTHING,
        "source": row["source"],
    }


def _cells(row: dict[str, Any]) -> list[str]:
    accuracies = [mean_and_std(row[data]) for data in DATA]
    rank = f"{row['rank']:.0f}" if row["rank"] else NOTHING
    return [row["method"], str(row["runs"]), *accuracies, rank, cost_text(row["cost"]), row["searched_on"]]


def _bounds(document: dict[str, Any]) -> list[list[str]]:
    """The best architecture of every data set, and what a draw from the whole space has on average."""
    names = {"best": "Best of all", "mean": "Mean of all"}
    return [
        [name, NOTHING, *(f"{document[key][data]:.2f}" for data in DATA), NOTHING, NOTHING, NOTHING]
        for key, name in names.items()
    ]


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    summaries = {f"{data}_{part}": getattr(row[data], part) for data in DATA for part in ("mean", "std")}
    costs = {"gpu_days": row["cost"].get(GPU_DAYS), "cpu_hours": row["cost"].get(CPU_HOURS)}
    named = {key: row[key] for key in ("method", "runs", "rank", "searched_on", "source")}
    return {**named, **summaries, **costs}
