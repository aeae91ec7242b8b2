"""Table: how well shared weights rank architectures, at the end of the warm-up and of the search."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from parsec.errors import UserError
from parsec.records.documents import read_documents
from parsec.report.methods import described
from parsec.report.ranking import blind
from parsec.report.tables.base import (
    Column,
    Section,
    Table,
    TableResult,
    count_column,
    keyed_columns,
    listing,
    mean_and_std,
)
from parsec.stats import summarise

MOMENTS = {"warmup": "warm-up", "end": "search"}
TAUS = {"truth": "τ with the truth", "parameters": "τ with parameters", "weightless": "τ with edges without weights"}
NOTES = [
    "Kendall's τ of −loss on validation images under the shared weights, for a sample of architectures from the "
    "uniform π that is the same in every search; mean ± sample standard deviation over n searches.",
    "Edges without weights: skip connections, pooling and none. A search can be no better than the ranking that its "
    "weights give it; a sample of 100 has a standard error of about 0.07.",
]


def read_rankings(inputs: Iterable[Path]) -> tuple[pd.DataFrame, str]:
    """Rows of documents that `parsec ranking` wrote, one per search and moment; and what the truth is.

    Raises:
        UserError: a file is missing, damaged or another one, or holds no ranking.
    """
    documents = read_documents(inputs, "ranking")
    rows = pd.DataFrame([row for document in documents for row in document["rows"]])
    if rows.empty:
        raise UserError("the ranking needs what `parsec ranking` wrote; give its JSON files")
    return rows, " and ".join(dict.fromkeys(document["truth"] for document in documents))


def make_ranking_table(inputs: Sequence[Path]) -> TableResult:
    """Documents of `parsec ranking` → one row per method, stage and moment."""
    rows, truth = read_rankings(inputs)
    methods = described(dict(zip(rows["method"], rows["base"], strict=True)))
    groups = rows.groupby(["method", "stage", "moment", "forward_images"], sort=False)
    lines = [
        _line(dict(zip(("method", "stage", "moment", "images"), key, strict=True)), group) for key, group in groups
    ]
    lines.sort(key=lambda line: list(methods).index(line["method"]))
    stages = rows["stage"].nunique() > 1
    columns = (
        Column("Method", lambda line: methods[line["method"]].name, "l"),
        *([Column("Stage", lambda line: line["stage"], "l")] if stages else []),
        Column("After", lambda line: MOMENTS[line["moment"]], "l"),
        Column("n", lambda line: str(line["n"])),
        count_column("Images passed forward", lambda line: line["images"], lines),
        *keyed_columns(TAUS, lambda name, line: mean_and_std(line[name])),
    )
    data = [
        {key: line[key] for key in ("method", "stage", "moment", "images", "n")}
        | {f"{name}_{part}": value for name in TAUS if line[name] for part, value in line[name]._asdict().items()}
        for line in lines
    ]
    notes = [*NOTES, f"Truth: {truth}."]
    if names := blind(rows):
        notes.append(f"Blind, because τ is not above zero (95 % interval over searches): {listing(names)}.")
    caption = "Ranking of architectures by shared weights"
    return TableResult(Table("ranking", caption, columns, [Section.of("", lines, columns)], notes), pd.DataFrame(data))


def _line(key: dict[str, Any], group: pd.DataFrame) -> dict[str, Any]:
    known = {name: group[name].dropna().to_list() for name in TAUS}
    return {**key, "n": len(group), **{name: summarise(values) if values else None for name, values in known.items()}}
