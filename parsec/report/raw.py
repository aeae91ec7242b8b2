"""Rows of a result table as plain numbers for its CSV, ours and published under the same columns."""

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from parsec.records.statistics import summarise
from parsec.report import notes
from parsec.report.rows import Row
from parsec.report.search_cost import CPU_HOURS, GPU_DAYS
from parsec.report.text import csv_text

CLASS_COLUMNS = ("architecture", "data_set", "origin", "method", "stem", "cells", "channels", "epochs")
"""What says which row of the table the errors per class are of."""


def raw_ours(rows: Iterable[Row], dataset: str) -> pd.DataFrame:
    """Our rows; errors in percent over searches, the interval is Student's t at 95 %."""
    return pd.DataFrame([_raw(row, dataset) for row in rows], dtype=object)


def _raw(row: Row, dataset: str) -> dict[str, Any]:
    return {
        "section": "ours",
        "architecture": row.architecture,
        "data_set": dataset,
        "origin": row.origin,
        "method": row.method,
        "searches": len(row.runs_by_seed),
        "trainings": len(row.trainings),
        **_errors(row),
        "parameters": row.complexity("parameters"),
        "multiply_adds": row.complexity("multiply_adds"),
        "search_cost_gpu_days": row.cost.get(GPU_DAYS),
        "search_cost_cpu_hours": row.cost.get(CPU_HOURS),
        "search_method": row.family,
        **dict(zip(("stem", "cells", "channels"), row.network, strict=True)),
        "epochs": row.epochs,
        "certainty": "measured",
        "source": "this run",
        "remark": "; ".join(sorted(notes.stand_ins(row.trainings))),
    }


def _errors(row: Row) -> dict[str, float | None]:
    return {
        "top1_error_mean": row.top1.mean,
        "top1_error_std": row.top1.std,
        "top1_error_low95": row.top1.low,
        "top1_error_high95": row.top1.high,
        "top1_error_std_of_trainings": summarise([result["test"]["top1_error"] for result in row.trainings]).std,
        "top5_error_mean": row.top5 and row.top5.mean,
        "top5_error_std": row.top5 and row.top5.std,
        "balanced_error_mean": row.balanced and row.balanced.mean,
        "balanced_error_std": row.balanced and row.balanced.std,
    }


def raw_classes(rows: Iterable[Row], dataset: str) -> pd.DataFrame:
    """Test errors of our rows per class, in percent, over the trainings that were recorded with them."""
    return pd.DataFrame(
        [line for row in rows for line in _class_lines(row, dataset)],
        columns=[*CLASS_COLUMNS, "class", "test_images", "trainings", "error_mean", "error_std"],
        dtype=object,
    )


def _class_lines(row: Row, dataset: str) -> Iterator[tuple[Any, ...]]:
    about = (row.architecture, dataset, row.origin, row.method, *row.network, row.epochs)
    found: dict[str, list[dict[str, Any]]] = {}
    for result in row.trainings:
        for entry in result["test"].get("classes", []):
            found.setdefault(entry["class"], []).append(entry)
    for name, entries in found.items():
        errors = [entry["top1_error"] for entry in entries if entry["top1_error"] is not None]
        summary = summarise(errors) if errors else None
        numbers = (entries[0]["images"], len(errors), summary and summary.mean, summary and summary.std)
        yield (*about, csv_text(name), *numbers)


def raw_published(rows: pd.DataFrame, data_set: str, columns: Iterable[str]) -> pd.DataFrame:
    """Published rows under the same columns; nothing where the publication says nothing."""
    names = {"top1_error": "top1_error_mean", "top5_error": "top5_error_mean"}
    counts = {
        name.removesuffix("_m"): (1e6 * pd.to_numeric(rows[name])).round().astype("Int64")
        for name in ("parameters_m", "multiply_adds_m")
        if name in rows
    }
    given = rows.rename(columns=names).assign(section="published", data_set=data_set, **counts)
    return given.reindex(columns=columns)
