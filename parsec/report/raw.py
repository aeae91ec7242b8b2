"""Rows of a result table as plain numbers for its CSV, ours and published under the same columns."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from parsec.records.statistics import summarise
from parsec.report import notes
from parsec.report.rows import Row
from parsec.report.search_cost import CPU_HOURS, GPU_DAYS


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
    }


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
