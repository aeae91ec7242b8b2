"""Table: methods compared; one row per search with the outcome of its architecture and its cumulative cost."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from parsec.config.base import PUBLISHED, SEARCH_STAGES
from parsec.errors import UserError
from parsec.records.documents import RESULTS, read_documents
from parsec.report.inputs import Result, SearchKey, base_method, by_key, lineage
from parsec.report.methods import display_name
from parsec.report.tables.accuracy import STAGES, few_images_note, few_test_images
from parsec.report.tables.base import (
    NOTHING,
    Column,
    Section,
    Table,
    TableResult,
    count_column,
    keyed_columns,
    listing,
    mean_and_std,
    number_column,
    significant,
)
from parsec.report.tables.nasbench201 import ACCURACIES
from parsec.stats import Paired, Summary, difference_text, holm, paired, summarise
from parsec.tabular.nasbench201 import DATA

COSTS = ["tau", "forward_images", "seconds", "peak_bytes", "joules", "parameters", "multiply_adds", "skip_share"]

OUTCOMES = {"top1_error": "Test error (%)", **{f"test_{data}": heading for data, heading in ACCURACIES.items()}}
"""Columns of what is measured of a selected architecture, and their printed headings."""


def read_compared(inputs: Iterable[Path]) -> pd.DataFrame:
    """Result files of searches and of retrainings, and perhaps one of `lookup` → one row per search.

    Columns are stage, method, seed, where the `outcome` was measured, outcomes in percent (of a genotype that was
    trained several times the mean), and `COSTS`, those of the whole lineage of the search.

    Raises:
        UserError: a file is missing or damaged, nothing measures the selected architectures, or a run is there twice.
    """
    documents = read_documents(inputs, *RESULTS, "lookup", "ranking")
    results = [document for document in documents if document["kind"] not in ("lookup", "ranking")]
    lookups = [document for document in documents if document["kind"] == "lookup"]
    searches = by_key(results)
    rows = list(_retrained(results))
    for run in (run for lookup in lookups for run in lookup["runs"]):
        tested = {f"test_{data}": run[f"test_{data}"] for data in DATA}
        rows.append({**{key: run[key] for key in ("stage", "method", "seed")}, "outcome": "nasbench201", **tested})
    if not rows:
        raise UserError("the comparison needs retrainings or a lookup of what the searches found; give their files")
    keys = [(row["stage"], row["method"], row["seed"]) for row in rows]
    if len({(row["outcome"], *key) for row, key in zip(rows, keys, strict=True)}) < len(rows):
        raise UserError("the comparison was given one run twice; give every run once")
    taus = {
        (row["stage"], row["method"], row["seed"]): row["truth"]
        for document in documents
        if document["kind"] == "ranking"
        for row in document["rows"]
        if row["moment"] == "end"
    }
    tables = [_costs(searches, key) | {"tau": taus.get(key)} | row for key, row in zip(keys, rows, strict=True)]
    return pd.DataFrame(tables).astype({"tau": float})


def _retrained(results: list[Result]) -> Iterator[dict[str, Any]]:
    trainings: dict[tuple[str, str, str, int], list[Result]] = {}
    for result in results:
        if result["kind"] == "retrain" and result["origin"] != PUBLISHED:
            key = (result["origin"], result["dataset"], result["method"], result["seed"])
            trainings.setdefault(key, []).append(result)
    for (stage, dataset, method, seed), runs in trainings.items():
        row = {"stage": stage, "outcome": dataset, "method": method, "seed": seed}
        error = fmean(r["test"]["top1_error"] for r in runs)
        yield {**row, "top1_error": error, "test_images": few_test_images(runs), **runs[0]["complexity"]}


def _costs(searches: dict[SearchKey, Result], key: SearchKey) -> dict[str, Any]:
    """Sums over the search and those whose π it started from; memory is the largest of them."""
    # A search that started from another's π is charged for both.
    chain = lineage(searches, key)
    # Missing where the machine has no meter, and in older results.
    joules = [result["cost"].get("energy_joules") for result in chain]
    return {
        "forward_images": sum(result["forward_images"] for result in chain),
        "seconds": sum(result["cost"]["device_seconds"] for result in chain),
        "joules": math.nan if None in joules else float(sum(joules)),
        "peak_bytes": max(result["cost"]["peak_memory_bytes"] for result in chain),
        "base": base_method(chain[0]),
        **chain[0]["complexity"],
        "skip_share": chain[0].get("skip_share", math.nan),
    }


Key = tuple[str, str]
"""Method and stage."""
LEVEL = 0.05
"""Adjusted p from which on no difference is called significant."""
NOT_SIGNIFICANT = "n.s."
COMPARISON_NOTES = [
    "n searches with different seeds; ± is the sample standard deviation over them. Difference: to the first row "
    "with the same seed, in the column before it (the CSV has the others), mean with its 95 % interval (Student t of "
    "the pairs); p is of no difference, two-sided, adjusted by Holm for the number of rows it was tested for; n.s.: no "
    f"significant difference (p ≥ {LEVEL}).",
    "Images passed forward: forward passes of single images through sampled architectures in the search; one through a "
    "mixture counts as many as it takes multiply-adds for. Time and memory are those of the search's process on its "
    "device, means over searches; processes that ran at the same time share the machine. Energy is that of whole "
    "processors and GPUs while the search ran, where the machine has meters.",
    "τ of shared weights: Kendall's, of their validation loss with the accuracy of the same architectures (table "
    "`ranking`), at the end of the search; not above zero, the search was blind.",
    "Skip edges: share of skip connections among the edges of the selected architectures.",
]
TRAINED_NOTE = "Parameters and multiply-adds are means over the networks trained from scratch."
RANDOM_NOTE = (
    "Random search: architectures trained alone in the search network, the best on the validation split by its batch "
    "statistics."
)
LOOKED_UP_NOTE = (
    "The CSV adds parameters and multiply-adds of networks of the size of the search; the accuracies are of the "
    "benchmark's networks, which are larger."
)


def _cost_columns(lines: list["Line"], looked_up: bool) -> list[Column]:
    """What the searches cost and what they selected, each column in one unit."""

    def mean(key: str, unit: float = 1.0) -> Callable[["Line"], float]:
        return lambda line: float(line.means[key]) / unit

    # Where accuracies are looked up, the benchmark's networks have them, and not those of the search.
    sizes = [
        count_column("Parameters", mean("parameters"), lines),
        count_column("Multiply-adds", mean("multiply_adds"), lines),
    ]
    return [
        number_column("τ of shared weights", mean("tau"), lines, digits=2),
        count_column("Images passed forward", mean("forward_images"), lines),
        number_column("Time (s)", mean("seconds"), lines),
        number_column("Memory (MB)", mean("peak_bytes", 1e6), lines),
        number_column("Energy (kJ)", mean("joules", 1e3), lines),
        *([] if looked_up else sizes),
        number_column("Skip edges (%)", mean("skip_share", 0.01), lines, digits=2),
    ]


class Comparison(NamedTuple):
    """One outcome of one method, and its difference to the reference where there is one."""

    summary: Summary
    difference: Paired | None
    p: float | None
    """Of the difference, adjusted for the number of methods."""


class Line(NamedTuple):
    """One method in one stage."""

    method: str
    stage: str
    runs: pd.DataFrame
    outcomes: dict[str, Comparison]

    @property
    def means(self) -> "pd.Series[float]":
        """`COSTS`, mean over runs."""
        return self.runs[COSTS].mean()


def _outcome(name: str, line: Line) -> str:
    """Mean and deviation of an outcome; a dash where it was not measured."""
    return mean_and_std(line.outcomes[name].summary if name in line.outcomes else None)


def _method_name(line: Line) -> str:
    return display_name(line.method, line.runs["base"].iloc[0])


METHOD = Column("Method", _method_name, "l")
STAGE_METHOD = Column("Method", lambda line: f"{_method_name(line)} ({STAGES[line.stage]})", "l")


def make_comparison_table(inputs: Sequence[Path], reference: str = "parsec") -> TableResult:
    """Result files, as `read_compared` takes them → one section per data set, one row per method and stage.

    Differences are to the last stage of the method or variant `reference`.
    """
    runs = read_compared(inputs)
    measured, lines = [name for name in OUTCOMES if name in runs], dict[str, list[Line]]()
    for where, group in runs.groupby("outcome", sort=False):
        lines[str(where)] = _lines(group, [name for name in measured if group[name].notna().all()], reference)
    # The difference to the reference is printed for the first outcome only; the CSV has it for all.
    first, *others = keyed_columns({name: OUTCOMES[name] for name in measured}, _outcome)
    looked_up = "nasbench201" in lines
    numbers = (
        Column("n", lambda line: str(len(line.runs))),
        first,
        Column("Difference", lambda line: _difference_cells(line, measured[0])[0]),
        Column("p", lambda line: _difference_cells(line, measured[0])[1]),
        *others,
        *_cost_columns([line for each in lines.values() for line in each], looked_up),
    )
    sections, data = list[Section](), list[dict[str, Any]]()
    for where, each in lines.items():
        method = STAGE_METHOD if len({line.stage for line in each}) > 1 else METHOD
        sections.append(Section.of(where if len(lines) > 1 else "", each, (method, *numbers)))
        data += [{"outcome": where, **_comparison_numbers(line)} for line in each]
    notes = [*COMPARISON_NOTES, LOOKED_UP_NOTE if looked_up else TRAINED_NOTE, *_few_images(runs)]
    notes += [RANDOM_NOTE] if (runs["base"] == "random").any() else []
    caption = f"Comparison of methods on {listing(lines)}"
    return TableResult(Table("comparison", caption, (METHOD, *numbers), sections, notes), pd.DataFrame(data))


def _few_images(runs: pd.DataFrame) -> list[str]:
    """A note where all test errors are of the same few images."""
    images = runs["test_images"].unique() if "test_images" in runs else []
    return [few_images_note(int(images[0]))] if len(images) == 1 and pd.notna(images[0]) else []


def _lines(group: pd.DataFrame, measured: list[str], reference: str) -> list[Line]:
    """One line per method and stage, the reference's last stage first."""
    runs = {key: rows.set_index("seed").sort_index() for key, rows in group.groupby(["method", "stage"], sort=False)}
    stages = [stage for stage in SEARCH_STAGES if (reference, stage) in runs]
    first = (reference, stages[-1]) if stages else None
    keys = sorted(runs, key=lambda key: key != first)
    columns = {name: _compare({key: runs[key][name] for key in keys}, first) for name in measured}
    lines = {key: {name: compared[key] for name, compared in columns.items()} for key in keys}
    return [Line(method, stage, runs[method, stage], outcomes) for (method, stage), outcomes in lines.items()]


def _compare(values: dict[Key, "pd.Series[float]"], reference: Key | None) -> dict[Key, Comparison]:
    """One outcome for all methods: summaries, and differences to the reference with Holm-adjusted p."""
    # Holm's adjustment is over the methods that were tested against the reference on this outcome.
    differences = {key: _difference(key, values, reference) for key in values}
    tested = {key: pair.p for key, pair in differences.items() if pair and pair.p is not None}
    adjusted = dict(zip(tested, holm(list(tested.values())), strict=True))
    return {key: Comparison(summarise(v.to_list()), differences[key], adjusted.get(key)) for key, v in values.items()}


def _difference(key: Key, values: dict[Key, "pd.Series[float]"], reference: Key | None) -> Paired | None:
    """To the reference, over the seeds that both have; None for itself, and where it did not run."""
    if reference is None or key == reference:
        return None
    # Pairs are searches with the same seed; a variant may have run with fewer seeds.
    seeds = values[key].index.intersection(values[reference].index)
    if seeds.empty:
        return None
    return paired(values[key][seeds].to_list(), values[reference][seeds].to_list())


def _difference_cells(line: Line, name: str) -> list[str]:
    """The difference with its interval, and its p."""
    outcome = line.outcomes.get(name)
    if outcome is None or outcome.difference is None:
        return [NOTHING, NOTHING]
    difference = outcome.difference
    text = difference_text(difference.mean, difference.low, difference.high)
    if outcome.p is None:
        return [text, NOTHING]
    return [text, NOT_SIGNIFICANT if outcome.p >= LEVEL else significant(outcome.p, 2)]


def _comparison_numbers(line: Line) -> dict[str, Any]:
    numbers: dict[str, Any] = {"stage": line.stage, "method": line.method, "runs": len(line.runs)}
    for name, compared in line.outcomes.items():
        numbers |= {f"{name}_{part}": value for part, value in compared.summary._asdict().items() if part != "n"}
        if compared.difference:
            numbers |= {f"{name}_difference_{part}": value for part, value in compared.difference._asdict().items()}
            numbers |= {f"{name}_p_holm": compared.p}
    return {**numbers, **line.means.to_dict()}
