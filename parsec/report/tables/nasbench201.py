"""Tables of searches on NAS-Bench-201: true accuracies, and epochs saved by a warm start."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from parsec.errors import UserError
from parsec.records.documents import read_document
from parsec.report.inputs import CPU_HOURS, GPU_DAYS, SECONDS, read_rows
from parsec.report.methods import display_name
from parsec.report.tables.base import (
    NOTHING,
    Column,
    Section,
    Table,
    TableResult,
    cost_columns,
    keyed_columns,
    mean_and_std,
    significant,
    text_column,
)
from parsec.space.nasbench201 import SIZE
from parsec.stats import Summary, summarise
from parsec.tabular.nasbench201 import DATA, Data

LABELS: dict[Data, str] = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "in16": "ImageNet16-120"}
ACCURACIES = {data: f"{label} (%)" for data, label in LABELS.items()}
"""Headings of accuracies by data set."""

FOUND_COLUMNS = (
    Column("Method", lambda row: row.get("printed", row["method"]), "l"),
    text_column("n", "runs"),
    *keyed_columns(ACCURACIES, lambda data, row: mean_and_std(row[data])),
    Column("Rank on CIFAR-10", lambda row: f"{row['rank']:.0f}" if row["rank"] else NOTHING),
    *cost_columns("Search cost", lambda row: row["cost"]),
    text_column("Searched on", "searched_on", "l"),
    text_column("Source", "cited", "l"),
)
"""Of our rows, of published ones, and of bounds, which have no more than accuracies."""

FOUND_NOTES = [
    "Test accuracy after 200 epochs on all training images, mean over the benchmark's seeds; ± is the sample "
    "standard deviation over n runs (published: as printed there). Cost is that of a run. "
    "Architectures were searched on one data set and looked up on all three.",
    "The rank is the mean over runs; 1 is the best of 15,625.",
    "Without a search: mean ± standard deviation over the architectures, weighted by their probability, exact.",
    "The cost of a start from scores is in the tables primed and comparison, not here.",
    "Published searches used other networks, budgets and machines.",
]


def make_found_table(inputs: Sequence[Path]) -> TableResult:
    """Files of `lookup` (JSON) and, if given, the published rows (CSV) → the table and its numbers."""
    documents = [read_document(path, "lookup") for path in inputs if path.suffix in (".json", ".jsonl")]
    if not documents:
        raise UserError("the table found needs what `parsec lookup` wrote; give its JSON files")
    runs = pd.DataFrame([run for document in documents for run in document["runs"]])
    if runs.duplicated(["stage", "dataset", "method", "seed"]).any():
        raise UserError("the table found was given one run twice; give every run once")
    groups = runs.groupby(["stage", "dataset", "method"], sort=False)
    ours = [_ours(group) for _, group in groups]
    theirs = [row for path in inputs if path.suffix == ".csv" for row in _rows_of(path)]
    sources = list(dict.fromkeys(row["source"] for row in theirs))
    published = [_found_published(row, sources) for row in theirs]
    whole, trivial = documents[0], documents[0].get("trivial", [])
    bounds = [_without_search(name, 1, whole[key], {}) for key, name in BOUNDS.items()]
    drawn = [_without_search(row["name"], row["architectures"], row["mean"], row["std"]) for row in trivial]
    parts = {"This run": ours, "Without a search": drawn, "The whole space": bounds, "Published": published}
    sections = [Section.of(title, rows, FOUND_COLUMNS) for title, rows in parts.items() if rows]
    caption = "Architectures selected on NAS-Bench-201"
    table = Table("nasbench201-found", caption, FOUND_COLUMNS, sections, FOUND_NOTES, sources)
    return TableResult(table, pd.DataFrame([_found_numbers(row) for row in ours + published]))


def _ours(runs: pd.DataFrame) -> dict[str, Any]:
    """One row of the table: the runs of a method in a stage on a data set."""
    stage, dataset, method = runs[["stage", "dataset", "method"]].iloc[0]
    # GPU-days and CPU-hours are never added: each unit has the mean over its own runs.
    costs = runs["cost"].to_list()
    units = [GPU_DAYS if cost["accelerator"] else CPU_HOURS for cost in costs]
    spent = {unit: fmean(c["device_seconds"] for c, u in zip(costs, units, strict=True) if u == unit) for unit in units}
    added = "" if stage == "search" else f", {stage}"
    return {
        "method": f"{method}{added}",
        "printed": f"{display_name(method, runs['base'].iloc[0] if 'base' in runs else None)}{added}",
        "runs": len(runs),
        **{data: summarise(runs[f"test_{data}"].to_list()) for data in DATA},
        "rank": fmean(runs["rank_cifar10"]),
        "cost": {unit: seconds / SECONDS[unit] for unit, seconds in spent.items()},
        "searched_on": dataset,
        "source": "this run",
        "cited": "",
    }


def _rows_of(path: Path) -> list[dict[str, Any]]:
    """One row per published method: the final paper's, test accuracies by data set."""
    rows = read_rows(path)
    try:
        kept = (
            rows["paper_version"].eq("ICML2021") & rows["search_space"].eq("NAS-Bench-201") & rows["split"].eq("test")
        )
        rows = rows[kept & rows["metric"].eq("accuracy_pct")]
        groups = rows.groupby(["method", "sample_size_n"], sort=False)
        return [{**group.iloc[0], "values": group.set_index("dataset")[["value", "std"]]} for _, group in groups]
    except KeyError as error:
        raise UserError(f"{path}: no published table of NASWOT, it lacks {error}; restore config/published") from error


def _found_published(row: dict[str, Any], sources: list[str]) -> dict[str, Any]:
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
        "cited": f"[{sources.index(row['source']) + 1}]",
    }


BOUNDS = {"best": "Best architecture of each data set", "mean": "Mean of all architectures"}


def _without_search(name: str, count: int, mean: dict[str, float], std: dict[str, float]) -> dict[str, Any]:
    """Exact numbers of no run: the mean over `count` architectures, and their deviation where there are several."""
    exact: dict[str, Any] = {
        data: Summary(count, mean[data], std[data] if count > 1 else None, None, None) for data in DATA
    }
    return {"method": name, "runs": None, **exact, "rank": None, "cost": {}, "searched_on": None, "cited": ""}


def _found_numbers(row: dict[str, Any]) -> dict[str, Any]:
    summaries = {f"{data}_{part}": getattr(row[data], part) for data in DATA for part in ("mean", "std")}
    costs = {"gpu_days": row["cost"].get(GPU_DAYS), "cpu_hours": row["cost"].get(CPU_HOURS)}
    common = {key: row[key] for key in ("method", "runs", "rank", "searched_on", "source")}
    return {**common, **summaries, **costs}


PAIRED = ["stage", "dataset", "seed"]
WARM_START_COLUMNS = (
    text_column("Seed", "seed", "l"),
    Column("Uniform start (epoch)", lambda row: _epoch(row["plain"])),
    Column("Start from scores (epoch)", lambda row: _epoch(row["primed"])),
    Column("Epochs saved", lambda row: _saved(row)),
)
WARM_START_NOTES = (
    "Epoch: the first from which the criterion holds to the end of the search; 0 is the start. Searches of a row share "
    "seed and settings except for the start. Accuracies: CIFAR-10 test after 200 epochs, looked up "
    "when the searches had ended.",
    "Mode: the most probable architecture, of which a uniform π has none. Mean of a draw: exact, over the whole space. "
    "π is fixed during warm-up.",
    "The row of the mean: ± is the sample standard deviation over the seeds above it.",
    "> or <: one of the two never met the criterion, so the number of epochs is only bounded.",
)
Reached = Callable[[pd.DataFrame, pd.DataFrame], pd.Series]
"""The epochs of a search, and those of the one that starts from scores → whether it holds, by epoch."""


def _within(share: float) -> Reached:
    return lambda epochs, _: epochs["rank_cifar10"] <= share * SIZE


def _as_good(column: str, row: int) -> Reached:
    return lambda epochs, warm: epochs[column] >= warm[column].iloc[row]


CRITERIA: dict[str, Reached] = {
    "Mode within the top 1 %": _within(0.01),
    "Mode within the top 5 %": _within(0.05),
    "Mode within the top 20 %": _within(0.2),
    "Mode as accurate as that of the scores' π": _as_good("test_cifar10", 0),
    "Mean of a draw as accurate as from the scores' π": _as_good("expected_cifar10", 0),
    "Mean of a draw as accurate as at the end of the search from scores": _as_good("expected_cifar10", -1),
}


class Pair(NamedTuple):
    """One search from uniform and one from scores, by epoch."""

    seed: int
    plain: pd.DataFrame
    warm: pd.DataFrame


def for_good(holds: NDArray[np.bool_]) -> int | None:
    """The first index from which it holds to the end; None if it does not hold at the end."""
    # That is the one after the last at which it did not hold.
    failed = np.flatnonzero(~holds)
    first = int(failed[-1]) + 1 if len(failed) else 0
    return first if first < len(holds) else None


def make_warm_start_table(inputs: Sequence[Path]) -> TableResult:
    """Files of `lookup` (JSON, then Parquet) and `fit.json` → one section per criterion, one row per seed."""
    if len(inputs) != 3:
        raise UserError("primed: give the JSON and the Parquet file of `lookup` and the fit.json of `fit-pi`")
    pairs, fitted = list(_pairs(inputs[0], inputs[1])), read_document(inputs[2], "fit")
    numbers = pd.DataFrame([row for name in CRITERIA for row in _warm_start_numbers(name, pairs)])
    sections = [_warm_start_section(name, group) for name, group in numbers.groupby("quality", sort=False)]
    notes = [_start(pairs), _cost(pairs, fitted), *WARM_START_NOTES]
    title = "Search epochs saved by a start from zero-cost scores"
    table = Table("primed", title, WARM_START_COLUMNS, sections, notes)
    return TableResult(table, numbers.assign(scoring_seconds=fitted["cost"]["device_seconds"], scored=fitted["scored"]))


def _pairs(document: Path, epochs: Path) -> Iterator[Pair]:
    runs = pd.DataFrame(read_document(document, "lookup")["runs"])
    try:
        rows = pd.read_parquet(epochs).sort_values("epoch")
        warm = runs[runs["start"] == "scores"]
        plain = runs[runs["start"].isna() & (runs["method"] == runs["base"])]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise UserError(f"{epochs}: not what `parsec lookup` writes now ({error}); run it again") from error
    # Each search from scores needs the one from uniform with the same seed and settings.
    pairs = warm.merge(plain, on=[*PAIRED, "base"], suffixes=("_primed", "_plain")).to_dict("records")
    if not pairs or len(pairs) != len(warm):
        raise UserError(f"{document}: a search from scores lacks the one from uniform with the same seed; look both up")
    for pair in pairs:
        here = rows[(rows[PAIRED] == [pair[key] for key in PAIRED]).all(axis=1)]
        of = {kind: here[here["method"] == pair[f"method_{kind}"]] for kind in ("plain", "primed")}
        yield Pair(pair["seed"], of["plain"], of["primed"])


def _warm_start_numbers(name: str, pairs: Sequence[Pair]) -> Iterator[dict[str, Any]]:
    for pair in pairs:
        holds = (CRITERIA[name](epochs, pair.warm) for epochs in (pair.plain, pair.warm))
        plain, warm = (for_good(reached.fillna(False).to_numpy(dtype=bool)) for reached in holds)
        yield {"quality": name, "seed": pair.seed, "epochs": len(pair.plain) - 1, "plain": plain, "primed": warm}


def _warm_start_section(criterion: str, numbers: pd.DataFrame) -> Section:
    """One row per seed, and their mean where all searches met the criterion."""
    records = numbers.astype(object).where(numbers.notna(), None).to_dict("records")
    section = Section.of(criterion, records, WARM_START_COLUMNS)
    # A mean is printed only if no saving is merely bounded.
    known = (numbers["plain"] - numbers["primed"]).dropna().astype(float).tolist()
    if len(known) == len(records) > 1:
        section.rows.append([f"mean, n = {len(known)}", NOTHING, NOTHING, mean_and_std(summarise(known))])
    return section


def _epoch(value: float | None) -> str:
    return "not reached" if value is None else f"{value:.0f}"


def _saved(row: dict[str, Any]) -> str:
    """Epochs saved, or their bound where one search never got there."""
    plain, warm, last = row["plain"], row["primed"], row["epochs"]
    if plain is None and warm is None:
        return NOTHING
    if plain is None or warm is None:
        return f"> {last - warm:.0f}" if plain is None else f"< {plain - last:.0f}".replace("-", "−")
    return f"{plain - warm:.0f}".replace("-", "−")


def _start(pairs: Sequence[Pair]) -> str:
    plain, first = (each.iloc[0] for each in (pairs[0].plain, pairs[0].warm))
    mode = "it has no mode" if pd.isna(first["rank_cifar10"]) else f"its mode is number {first['rank_cifar10']}"
    drawn = f"{first['expected_cifar10']:.2f} %, from the uniform one {plain['expected_cifar10']:.2f} %"
    return f"A draw from the π of the scores has on average {drawn}; {mode} of {SIZE}."


def _cost(pairs: Sequence[Pair], fitted: dict[str, Any]) -> str:
    each = [[epochs["seconds"].max() / (len(epochs) - 1) for epochs in (pair.plain, pair.warm)] for pair in pairs]
    seconds, warm = map(float, np.mean(each, axis=0))
    spent = fitted["cost"]["device_seconds"]
    return (
        f"π is fitted to the best {len(fitted['kept'])} of {fitted['scored']} scored architectures. Scoring them took "
        f"{spent:.0f} s, as much as {significant(spent / seconds, 2)} epochs of the searches from uniform "
        f"({significant(seconds, 2)} s each, on their machine; {significant(warm, 2)} s of those from scores)."
    )
