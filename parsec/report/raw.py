"""Rows of a result table as plain numbers for its CSV, ours and published under the same keys."""

from collections.abc import Iterable
from typing import Any

from parsec.report import notes
from parsec.report.rows import Row
from parsec.report.search_cost import CPU_HOURS, GPU_DAYS


def raw_ours(row: Row, dataset: str) -> dict[str, Any]:
    """One of our rows; errors in percent, the interval is Student's t at 95 %."""
    spread = row.search_means()
    return {
        "section": "ours",
        "architecture": row.architecture,
        "data_set": dataset,
        "origin": row.origin,
        "method": row.method,
        "searches": len(row.runs_by_seed),
        "trainings": row.top1.n,
        "top1_error_mean": row.top1.mean,
        "top1_error_std": row.top1.std,
        "top1_error_low95": row.top1.low,
        "top1_error_high95": row.top1.high,
        "top1_error_std_of_search_means": spread.std,
        "top5_error_mean": row.top5 and row.top5.mean,
        "top5_error_std": row.top5 and row.top5.std,
        "parameters": row.complexity("parameters"),
        "multiply_adds": row.complexity("multiply_adds"),
        "search_cost_gpu_days": row.cost.get(GPU_DAYS),
        "search_cost_cpu_hours": row.cost.get(CPU_HOURS),
        "search_method": row.family,
        "stem": row.network[0],
        "cells": row.network[1],
        "channels": row.network[2],
        "epochs": row.epochs,
        "certainty": "measured",
        "source": "this run",
        "remark": "; ".join(sorted(notes.stand_ins(list(row.trainings)))),
    }


def raw_published(row: dict[str, str], data_set: str, keys: Iterable[str]) -> dict[str, Any]:
    """One published row under the same keys; nothing where the publication says nothing."""

    def million(name: str) -> float | None:
        return round(float(row[name]) * 1e6) if row.get(name) else None

    values: dict[str, Any] = {
        **{key: row.get(key) or None for key in ("architecture", "search_cost_gpu_days", "search_method")},
        **{key: row.get(key) or None for key in ("certainty", "source", "remark")},
        "data_set": data_set,
        "section": "published",
        "top1_error_mean": row["top1_error"],
        "top1_error_std": row.get("top1_error_std") or None,
        "top5_error_mean": row.get("top5_error") or None,
        "parameters": million("parameters_m"),
        "multiply_adds": million("multiply_adds_m"),
    }
    return {key: values.get(key) for key in keys}
