"""One row a search: what came of the architecture that it found, and what it had cost by then."""

import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import pandas as pd

from parsec.benchmarks.nasbench201 import DATA
from parsec.errors import UserError
from parsec.records.documents import read_document, read_results
from parsec.report.found import LABELS
from parsec.report.search_cost import Result, SearchKey, by_key, lineage
from parsec.settings.plan import PUBLISHED

COSTS = ["child_images", "seconds", "peak_bytes", "joules", "parameters", "multiply_adds", "skip_share"]


class Outcome(NamedTuple):
    """Where what was found is measured, and in which column."""

    name: str
    heading: str


def outcomes(runs: pd.DataFrame) -> list[Outcome]:
    """The measurements that these rows have, in their order."""
    known = [Outcome("top1_error", "Test error (%)"), *(Outcome(f"test_{d}", f"{LABELS[d]} (%)") for d in DATA)]
    return [outcome for outcome in known if outcome.name in runs]


def read_compared(inputs: Iterable[Path]) -> pd.DataFrame:
    """Result files of searches and of retrainings, and perhaps one of `lookup` → one row a search.

    Columns are stage, method, seed, where the `outcome` was measured, outcomes in percent (of a genotype that was
    trained several times the mean), and `COSTS`, those of the whole lineage of the search.

    Raises:
        UserError: a file is missing or damaged, or nothing tells what the searches found is worth.
    """
    paths = list(inputs)
    looked_up = [path for path in paths if path.parent.name == "lookup"]
    results = read_results(path for path in paths if path not in looked_up)
    searches = by_key(results)
    rows = [*_retrained(results), *(row for path in looked_up for row in _looked_up(path))]
    if not rows:
        raise UserError("the comparison needs retrainings or a lookup of what the searches found; give their files")
    return pd.DataFrame([_costs(searches, (row["stage"], row["method"], row["seed"])) | row for row in rows])


def _retrained(results: list[Result]) -> Iterator[dict[str, Any]]:
    trainings: dict[tuple[str, str, str, int], list[Result]] = {}
    for result in results:
        if result["kind"] == "retrain" and result["origin"] != PUBLISHED:
            key = (result["origin"], result["dataset"], result["method"], result["seed"])
            trainings.setdefault(key, []).append(result)
    for (stage, dataset, method, seed), found in trainings.items():
        named = {"stage": stage, "outcome": dataset, "method": method, "seed": seed}
        yield {**named, "top1_error": fmean(r["test"]["top1_error"] for r in found), **found[0]["complexity"]}


def _looked_up(path: Path) -> Iterator[dict[str, Any]]:
    for run in read_document(path, "lookup")["runs"]:
        tested = {f"test_{data}": run[f"test_{data}"] for data in DATA}
        yield {"stage": run["stage"], "outcome": "nasbench201", "method": run["method"], "seed": run["seed"], **tested}


def _costs(searches: dict[SearchKey, Result], key: SearchKey) -> dict[str, float]:
    """Sums over the search and those whose π it started from; memory is the largest of them."""
    chain = lineage(searches, key)
    return {
        "child_images": sum(result["child_images"] for result in chain),
        "seconds": sum(result["cost"]["device_seconds"] for result in chain),
        "joules": sum(_joules(result) for result in chain),
        "peak_bytes": max(result["cost"]["peak_memory_bytes"] for result in chain),
        **chain[0]["complexity"],
        "skip_share": chain[0].get("skip_share", math.nan),
    }


def _joules(result: Result) -> float:
    """Energy, where the machine could tell it; results of old have no word of it."""
    joules = result["cost"].get("energy_joules")
    return math.nan if joules is None else float(joules)
