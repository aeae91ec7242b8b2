"""Rows of our own results: every training of the genotypes that one method found in one stage, summarised."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import pandas as pd

from parsec.records.statistics import Summary, summarise
from parsec.report.search_cost import Cost, Result, SearchKey, by_key, cumulative, lineage, mean_cost
from parsec.settings.plan import PUBLISHED, SEARCH_STAGES

METHODS = {
    "parsec": ("PARSEC", "gradient-based"),
    "darts": ("DARTS, first order", "gradient-based"),
    "darts2": ("DARTS, second order", "gradient-based"),
    "snas": ("SNAS", "gradient-based"),
    "gdas": ("GDAS", "gradient-based"),
    "random_shared": ("Random search, shared weights", "random"),
    "random": ("Random search", "random"),
}
"""Printed name and kind of a search method."""

ORIGINS = (*SEARCH_STAGES, PUBLISHED)
GROUP = ["origin", "method", "network.stem", "network.cells", "network.channels", "epochs"]
"""What the trainings of one row have in common."""

STAGES = {"search": "search on small network", "finetune": "fine-tuning on large network", "transfer": "transfer"}


@dataclass(frozen=True)
class Row:
    """One origin × method × network: what its trainings gave and what finding it cost."""

    origin: str
    method: str
    network: tuple[str, int, int]
    epochs: int
    trainings: tuple[Result, ...]
    searches: tuple[Result, ...]
    top1: Summary
    """Percent, as `_summary` has it; `top5` too."""
    top5: Summary | None
    balanced: Summary | None
    """Balanced error in percent; None if a training was recorded without it."""
    cost: Cost

    @property
    def architecture(self) -> str:
        """Printed name, in the manner of the paper's tables."""
        if self.origin == PUBLISHED:
            return f"{self.method}, retrained here"
        name = METHODS.get(self.method, (self.method, ""))[0]
        return f"{name} ({STAGES[self.origin]}, {self.searches[0]['dataset']})"

    @property
    def family(self) -> str:
        """Kind of search method."""
        if self.origin == PUBLISHED:
            return "genotype from a file" if self.trainings[0].get("genotype_source") else "published genotype"
        return METHODS.get(self.method, ("", self.method))[1]

    @property
    def runs_by_seed(self) -> dict[int, int]:
        """How many trainings each search's genotype had."""
        return dict(sorted(Counter(result["seed"] for result in self.trainings).items()))

    @property
    def count(self) -> str:
        """Searches × trainings: `2 × 3`; `3 + 2` where searches differ; trainings alone of a published genotype."""
        runs = list(self.runs_by_seed.values())
        if self.origin == PUBLISHED:
            return str(sum(runs))
        return f"{len(runs)} × {runs[0]}" if len(set(runs)) == 1 else " + ".join(map(str, runs))

    def complexity(self, key: str) -> float:
        """Mean of `parameters` or `multiply_adds` over genotypes, each counted once."""
        return fmean({result["seed"]: result["complexity"][key] for result in self.trainings}.values())


def _summary(origin: str, trainings: tuple[Result, ...], error: str) -> Summary | None:
    """Summary over searches, each the mean of the trainings of its genotype; of a published genotype over trainings.

    Trainings of one genotype are no independent trials of the search, so that n is the number of searches.
    """
    if any(result["test"].get(error) is None for result in trainings):
        return None
    errors: dict[int, list[float]] = {}
    for place, result in enumerate(trainings):
        errors.setdefault(place if origin == PUBLISHED else result["seed"], []).append(result["test"][error])
    return summarise([fmean(found) for found in errors.values()])


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
        UserError: the search that found a genotype, or one of its ancestors, is not among the results.
    """
    results = list(results)
    searches = by_key(results)
    trainings = [result for result in results if result["kind"] == "retrain" and result["dataset"] == dataset]
    if not trainings:
        return []
    table = pd.json_normalize(trainings, max_level=1).sort_values(["seed", "run"])
    table["origin"] = pd.Categorical(table["origin"], ORIGINS)
    groups = table.groupby(GROUP, observed=True)
    return [_row(group, tuple(trainings[i] for i in rows.index), searches) for group, rows in groups]
