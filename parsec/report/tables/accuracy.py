"""Rows of the table of test errors: one per origin, method and network; their notes, and their numbers for the CSV."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from parsec.config.base import PUBLISHED, SEARCH_STAGES
from parsec.errors import UserError
from parsec.records.documents import read_results
from parsec.report.inputs import (
    CPU_HOURS,
    GPU_DAYS,
    Cost,
    Result,
    SearchKey,
    base_method,
    by_key,
    cumulative,
    lineage,
    mean_cost,
    protocol,
    published_rows,
)
from parsec.report.methods import METHODS, display_name
from parsec.report.tables.base import (
    NOTHING,
    Column,
    Section,
    Table,
    TableResult,
    cost_columns,
    count_column,
    csv_text,
    listing,
    mean_and_std,
)
from parsec.stats import Summary, summarise

ORIGINS = (*SEARCH_STAGES, PUBLISHED)
GROUP = ["origin", "method", "network.stem", "network.cells", "network.channels", "epochs"]
"""Columns that are equal for all trainings of a row."""

STAGES = {"search": "search on small network", "finetune": "fine-tuning on large network", "transfer": "transfer"}


@dataclass(frozen=True)
class Row:
    """One origin × method × network: results of its trainings and the cost of its search."""

    origin: str
    method: str
    network: tuple[str, int, int]
    epochs: int
    trainings: tuple[Result, ...]
    searches: tuple[Result, ...]
    top1: Summary
    """Errors in percent, as `_summary` has them; `top5` too."""
    top5: Summary | None
    balanced: Summary | None
    """Balanced error in percent; None if a training was recorded without it."""
    cost: Cost

    @property
    def architecture(self) -> str:
        """Printed name, in the manner of the paper's tables."""
        if self.origin == PUBLISHED:
            return f"{self.method}, retrained here"
        name = display_name(self.method, base_method(self.searches[0]))
        return f"{name} ({STAGES[self.origin]}, {self.searches[0]['dataset']})"

    @property
    def family(self) -> str:
        """Kind of search method."""
        if self.origin == PUBLISHED:
            return "genotype from a file" if self.trainings[0].get("genotype_source") else "published genotype"
        base = base_method(self.searches[0])
        return METHODS[base].family if base in METHODS else base

    @property
    def runs_by_seed(self) -> dict[int, int]:
        """How many trainings each search's genotype had."""
        return dict(sorted(Counter(result["seed"] for result in self.trainings).items()))

    @property
    def count(self) -> str:
        """Searches × trainings: `2 × 3`; `3 + 2` where searches differ; only trainings of a published genotype."""
        runs = list(self.runs_by_seed.values())
        if self.origin == PUBLISHED:
            return str(sum(runs))
        return f"{len(runs)} × {runs[0]}" if len(set(runs)) == 1 else " + ".join(map(str, runs))

    def complexity(self, key: str) -> float:
        """Mean of `parameters` or `multiply_adds` over genotypes, each counted once."""
        return fmean({result["seed"]: result["complexity"][key] for result in self.trainings}.values())


def _summary(origin: str, trainings: tuple[Result, ...], error: str) -> Summary | None:
    """Summary over searches, each the mean of the trainings of its genotype; of a published genotype over trainings.

    Trainings of one genotype are not independent trials of the search, so n is the number of searches.
    """
    if any(result["test"].get(error) is None for result in trainings):
        return None
    # One value per search: the mean over the trainings of its genotype.
    errors: dict[int, list[float]] = {}
    for i, result in enumerate(trainings):
        errors.setdefault(i if origin == PUBLISHED else result["seed"], []).append(result["test"][error])
    return summarise([fmean(values) for values in errors.values()])


def _row(group: tuple[Any, ...], trainings: tuple[Result, ...], searches: dict[SearchKey, Result]) -> Row:
    origin, method, *network, epochs = group
    seeds = sorted({result["seed"] for result in trainings})
    chains = [] if origin == PUBLISHED else [lineage(searches, (origin, method, seed)) for seed in seeds]
    top1 = _summary(origin, trainings, "top1_error")
    assert top1 is not None  # every result has it
    return Row(
        origin,
        method,
        tuple(network),
        epochs,
        trainings,
        tuple(result for chain in chains for result in chain),
        top1,
        _summary(origin, trainings, "top5_error"),
        _summary(origin, trainings, "balanced_error"),
        mean_cost([cumulative(chain) for chain in chains]),
    )


def our_rows(results: Iterable[Result], dataset: str) -> list[Row]:
    """Rows of one data set, in the order of the stages; published genotypes last.

    Raises:
        UserError: the search that selected a genotype, or one of its ancestors, is not among the results, or one
            training is there twice.
    """
    results = list(results)
    searches = by_key(results)
    trainings = [result for result in results if result["kind"] == "retrain" and result["dataset"] == dataset]
    if not trainings:
        return []
    # Trainings of equal origin, method, network and epochs make a row.
    table = pd.json_normalize(trainings, max_level=1).sort_values(["seed", "run"])
    table["origin"] = pd.Categorical(table["origin"], ORIGINS)
    if table.duplicated([*GROUP, "seed", "run"]).any():
        raise UserError(f"two results of one training on {dataset} were given; give those of one run only")
    groups = table.groupby(GROUP, observed=True)
    return [_row(group, tuple(trainings[i] for i in rows.index), searches) for group, rows in groups]


STATISTICS = (
    "n is searches × trainings of each selected genotype. Mean ± sample standard deviation are over searches, each the "
    "mean of its trainings; of a published genotype over its trainings. No best of several is shown. The CSV adds the "
    "95 % t-interval of the mean over the same values, and the standard deviation over all trainings."
)
SECONDARY = "† quoted from a secondary source, not read in the paper that it comes from."


def same_data(dataset: str, stand_ins: set[str], published: str) -> bool:
    """Whether our data set is the one behind the published rows: by name, and no stand-in for it."""
    ours, theirs = (re.sub(r"[^a-z0-9]", "", name.lower()) for name in (dataset, published))
    # `imagenet` is "ImageNet (ILSVRC 2012)", but `cifar10` is not "CIFAR-100".
    return not stand_ins and ours != "" and re.match(rf"{ours}(?!\d)", theirs) is not None


def stand_ins(results: Iterable[Result]) -> set[str]:
    """Which data sets those of the results stand in for, as recorded."""
    return {result["provenance"]["stand_in"] for result in results if result["provenance"]["stand_in"]}


def _network(row: Row) -> str:
    epochs = "1 epoch" if row.epochs == 1 else f"{row.epochs} epochs"
    return f"{row.network[1]} cells × {row.network[2]} channels, {epochs}"


def _train_images(results: list[Result]) -> set[int]:
    """Numbers of training images, where fewer than all were used; older results record the setting only."""
    used = set()
    for result in results:
        limit = result["provenance"]["settings"]["settings"].get("train_images")
        count = result.get("images", {}).get("train", limit)
        if limit is not None and count != result.get("images_available", {}).get("train"):
            used.add(count)
    return used


def scale(rows: list[Row], dataset: str, protocol: dict[str, str] | None) -> list[str]:
    """Scale of our trainings and, with published rows, where it differs from the published protocol."""
    trainings = [result for row in rows for result in row.trainings]
    ours = listing(_network(row) for row in rows)
    limits = _train_images(trainings)
    images = f", {listing(sorted(limits))} training images" if limits else ""
    notes = [f"Ours: {ours}{images}, data set {dataset}."]
    notes += [f"{dataset}: {sentence.rstrip('.')}." for sentence in sorted(stand_ins(trainings))]
    if protocol is None:
        return notes
    theirs = f"{protocol['cells']} cells × {protocol['channels']} channels, {protocol['epochs']} epochs"
    same = same_data(dataset, stand_ins(trainings), protocol["data_set"]) and not limits and ours == theirs
    verdict = (
        "the scale is the same" if same else "data or scale differ, so numbers above and below the rule do not compare"
    )
    return [*notes, f"Published rows: {theirs}, {protocol['data_set']} ({protocol['source']}); {verdict}."]


def selection(rows: list[Row]) -> list[str]:
    """How architectures and weights were selected, as the results record it."""
    sentences = [result["selection"] for row in rows for result in (*row.searches, *row.trainings)]
    return [f"Selection: {sentence.rstrip('.')}." for sentence in dict.fromkeys(sentences)]


def _device(result: Result) -> str:
    """Device and threads of a result: `AMD EPYC, 1 thread`."""
    if result["cost"]["accelerator"]:
        return str(result["cost"]["device"])
    threads = result["provenance"]["threads"]
    return f"{result['provenance']['machine']['cpu']}, {threads} {'thread' if threads == 1 else 'threads'}"


def hardware(rows: list[Row]) -> list[str]:
    """Definition of search cost, and the machines of searches and trainings."""
    searches = [result for row in rows for result in row.searches]
    trainings = [result for row in rows for result in row.trainings]
    notes = [f"Trained from scratch on {listing(map(_device, trainings))}."]
    if searches:
        text = "Search cost is the time for which the device was held, summed over the stages behind a genotype"
        text += f", mean over searches, without training from scratch ({listing(map(_device, searches))})."
        notes.insert(0, text)
    return notes


def _raw(row: Row, dataset: str) -> dict[str, Any]:
    """A row of the CSV; errors in percent over searches, the interval is Student's t at 95 %."""
    return {
        "section": "ours",
        "architecture": row.architecture,
        "data_set": dataset,
        "origin": row.origin,
        "method": row.method,
        "searches": len(row.runs_by_seed),
        "trainings": len(row.trainings),
        "top1_error_mean": row.top1.mean,
        "top1_error_std": row.top1.std,
        "top1_error_low95": row.top1.low,
        "top1_error_high95": row.top1.high,
        "top1_error_std_of_trainings": summarise([result["test"]["top1_error"] for result in row.trainings]).std,
        "top5_error_mean": row.top5 and row.top5.mean,
        "top5_error_std": row.top5 and row.top5.std,
        "balanced_error_mean": row.balanced and row.balanced.mean,
        "balanced_error_std": row.balanced and row.balanced.std,
        "parameters": row.complexity("parameters"),
        "multiply_adds": row.complexity("multiply_adds"),
        "search_cost_gpu_days": row.cost.get(GPU_DAYS),
        "search_cost_cpu_hours": row.cost.get(CPU_HOURS),
        "search_method": row.family,
        **dict(zip(("stem", "cells", "channels"), row.network, strict=True)),
        "epochs": row.epochs,
        "certainty": "measured",
        "source": "this run",
        "remark": "; ".join(sorted(stand_ins(row.trainings))),
    }


def _raw_classes(rows: Iterable[Row], dataset: str) -> pd.DataFrame:
    """Test errors of our rows per class, in percent, over the trainings that were recorded with them."""
    row_of_table = ["architecture", "data_set", "origin", "method", "stem", "cells", "channels", "epochs"]
    columns = [*row_of_table, "class", "test_images", "trainings", "error_mean", "error_std"]
    return pd.DataFrame([line for row in rows for line in _class_lines(row, dataset)], columns=columns, dtype=object)


def _class_lines(row: Row, dataset: str) -> Iterator[tuple[Any, ...]]:
    common = (row.architecture, dataset, row.origin, row.method, *row.network, row.epochs)
    by_class: dict[str, list[dict[str, Any]]] = {}
    for result in row.trainings:
        for entry in result["test"].get("classes", []):
            by_class.setdefault(entry["class"], []).append(entry)
    for name, entries in by_class.items():
        errors = [entry["top1_error"] for entry in entries if entry["top1_error"] is not None]
        summary = summarise(errors) if errors else None
        numbers = (entries[0]["images"], len(errors), summary and summary.mean, summary and summary.std)
        yield (*common, csv_text(name), *numbers)


def _raw_published(rows: pd.DataFrame, data_set: str, columns: Iterable[str]) -> pd.DataFrame:
    """Published rows under the same columns; empty where the publication has no value."""
    names = {"top1_error": "top1_error_mean", "top5_error": "top5_error_mean"}
    counts = {
        name.removesuffix("_m"): (1e6 * pd.to_numeric(rows[name])).round().astype("Int64")
        for name in ("parameters_m", "multiply_adds_m")
        if name in rows
    }
    renamed = rows.rename(columns=names).assign(section="published", data_set=data_set, **counts)
    return renamed.reindex(columns=columns)


FEW_IMAGES = 2000
"""Test images below which errors are also printed as numbers of images."""


def few_test_images(trainings: Iterable[Result]) -> int | None:
    """Number of test images, where all trainings were tested on the same few."""
    counts = {result["test"]["images"] for result in trainings}
    return counts.pop() if len(counts) == 1 and max(counts) < FEW_IMAGES else None


def _wrong(row: Row) -> str:
    """Test images that the trainings of a row got wrong, of all that they were tested on: `39 of 1,080`."""
    images = few_test_images(row.trainings)
    if images is None:
        return NOTHING
    wrong = sum(round(result["test"]["top1_error"] * images / 100) for result in row.trainings)
    return f"{wrong:,} of {images * len(row.trainings):,}"


def few_images_note(images: int) -> str:
    """What errors of few test images can tell."""
    return (
        f"The test split has {images} images, so that one wrong image is {100 / images:.2f} %. ± does not cover which "
        "images the split has."
    )


def few_images_notes(rows: Iterable[Row]) -> list[str]:
    """A note where all trainings were tested on the same few images."""
    images = few_test_images(result for row in rows for result in row.trainings)
    return [] if images is None else [f"{few_images_note(images)} Wrong test images are summed over the trainings."]


class Printed(NamedTuple):
    """A column of the table, and the columns of the published tables that are printed in it: a value, its ±."""

    column: Column
    published: tuple[str, ...] = ()


NAME = Printed(Column("Architecture", lambda row: row.architecture, "l"), ("architecture",))
TOP5 = Printed(Column("Top-5 error (%)", lambda row: mean_and_std(row.top5)), ("top5_error",))
BALANCED = Printed(Column("Balanced error (%)", lambda row: mean_and_std(row.balanced)))
WRONG = Printed(Column("Wrong test images", _wrong))
COUNT = Printed(Column("n", lambda row: row.count))
FAMILY = Printed(Column("Type of search", lambda row: row.family or NOTHING, "l"), ("search_method",))
SOURCE = Printed(Column("Source", lambda row: "", "l"))

BALANCED_NOTE = "Balanced error is the mean over classes of each one's error; classes have unequally many test images."
IMAGENET = "imagenet"
"""Stem of networks whose tables have top-5 errors and multiply-adds, as in the papers."""


def columns_of(rows: list[Row], theirs: pd.DataFrame, large: bool) -> list[Printed]:
    """Columns of our rows and of published ones; balanced error follows top-1 error where the two differ."""
    balanced = any(row.balanced and mean_and_std(row.balanced) != mean_and_std(row.top1) for row in rows)
    balanced &= all(row.balanced is not None for row in rows)
    top1 = Column("Top-1 error (%)" if large else "Test error (%)", lambda row: mean_and_std(row.top1))
    return [
        NAME,
        Printed(top1, ("top1_error", "top1_error_std")),
        *([BALANCED] if balanced else []),
        *([TOP5] if large else []),
        COUNT,
        WRONG,
        _counts("Parameters", "parameters", rows, theirs),
        *([_counts("Multiply-adds", "multiply_adds", rows, theirs)] if large else []),
        *(
            Printed(column, ("search_cost_gpu_days",) if GPU_DAYS in column.heading else ())
            for column in cost_columns("Search cost", lambda row: row.cost)
        ),
        FAMILY,
        SOURCE,
    ]


def _counts(name: str, key: str, rows: list[Row], theirs: pd.DataFrame) -> Printed:
    """Parameters or multiply-adds; published ones are in millions, and decide on the unit of ours."""
    published = 1e6 * pd.to_numeric(theirs.get(f"{key}_m", pd.Series(dtype=float)))
    return Printed(count_column(name, lambda row: row.complexity(key), rows, published.dropna()), (f"{key}_m",))


def _published_section(rows: pd.DataFrame, columns: list[Printed], data_set: str) -> tuple[Section, list[str]]:
    """The published rows as printed, each with the number of its source; and the sources."""
    remarks = (" (" + rows["remark"] + ")").where(rows["remark"] != "", "")
    numbers, sources = pd.factorize(rows["source"] + remarks)
    lines = []
    for number, row in zip(numbers, rows.to_dict("records"), strict=True):
        values = [[row.get(key, "") for key in column.published] for column in columns]
        cells = [" ± ".join(filter(None, pair)) or NOTHING for pair in values]
        name = row["architecture"] + (" †" if row["certainty"] == "secondary" else "")
        lines.append([name, *cells[1:-1], f"[{number + 1}]"])
    return Section(f"Published, {data_set}", lines), list(sources)


def make_accuracy_table(inputs: Sequence[Path], dataset: str, compare_with: str | None = None) -> TableResult:
    """Our results on one data set, above published ones if asked for; `classes` has our errors per class.

    Args:
        inputs: result files of retrainings and of all searches behind them.
        dataset: name of our data set.
        compare_with: name of the published table to print below ours.
    """
    rows = our_rows(read_results(inputs), dataset)
    stems = {row.network[0] for row in rows}
    if len(stems) != 1:
        got = ", ".join(sorted(stems)) or "no retraining"
        raise UserError(f"table of {dataset}: needs retraining results of one stem, got {got}; give one run's results")
    data, sources = pd.DataFrame([_raw(row, dataset) for row in rows], dtype=object), list[str]()

    # Published rows: the same columns as far as they are known, with numbered sources.
    rules = protocol(compare_with) if compare_with else None
    theirs = published_rows(compare_with) if compare_with else pd.DataFrame()
    printed = columns_of(rows, theirs, large=IMAGENET in stems)
    columns = [each.column for each in printed]
    sections = [Section.of(f"This run, {dataset}" if rules else "", rows, columns)]
    if rules:
        section, sources = _published_section(theirs, printed, rules["data_set"])
        sections.append(section)
        data = pd.concat([data, _raw_published(theirs, rules["data_set"], data.columns)])

    notes = [STATISTICS, *few_images_notes(rows), *scale(rows, dataset, rules), *selection(rows), *hardware(rows)]
    notes += [SECONDARY] if rules else []
    notes += [BALANCED_NOTE] if BALANCED in printed else []
    caption = f"Classification error on the test images of {dataset}"
    table = Table(dataset, caption, columns, sections, notes, sources)
    return TableResult(table, data, {"classes": _raw_classes(rows, dataset)})
