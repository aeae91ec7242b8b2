"""What records show of the claims of PARSEC."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from parsec.records.claims.claim import (
    FAILS,
    HOLDS,
    REDUCED,
    Claim,
    Evidence,
    ends,
    interval,
    judged,
    numbers,
    reproduced,
    title,
    with_std,
)
from parsec.stats import interval_of_mean

PAPER_EPOCHS = 600
"""Of the retraining on CIFAR-10 in the paper; a record with fewer does not test its numbers."""


def retrained(record: Path, claim: Claim) -> Evidence | None:
    """Test error on CIFAR-10 of what a stage found; a verdict only with the paper's epochs."""
    origin = {"cifar10-proxy": "search", "cifar10-finetuned": "finetune"}[claim.claim]
    table = numbers(record, "cifar10")
    if table.empty:
        return None
    rows = table[(table["section"] == "ours") & (table["origin"] == origin) & (table["method"] == "parsec")]
    if rows.empty:
        return None
    row = rows.iloc[0]
    n, mean = int(row["searches"]), row["top1_error_mean"]
    # Records from before intervals were over searches keep the deviation of the search means in a column of its own.
    std = row.get("top1_error_std_of_search_means", row["top1_error_std"])
    low, high = (math.nan, math.nan) if n == 1 else interval_of_mean(n, mean, std)
    counts = f"n = {_counted(n, 'search')}, {_counted(row['trainings'], 'training')}"
    ours = f"{with_std(mean, std)}{ends(low, high)}, {counts}"
    scale = f"{row['cells']:.0f} cells × {row['channels']:.0f} channels, {row['epochs']:.0f} epochs"
    if row["epochs"] < PAPER_EPOCHS:
        return Evidence(ours, scale, "not shown" + REDUCED)
    return Evidence(ours, scale, reproduced(low, high, float(claim.value), float(claim.margin), -1))


def _counted(count: float, name: str) -> str:
    plural = {"search": "searches", "training": "trainings"}
    return f"{count:.0f} {name if count == 1 else plural[name]}"


def memory(record: Path, claim: Claim) -> Evidence | None:
    """Targets of `bench memory` for one child at a time, and what the executor that `auto` takes needs.

    Records from before `auto` was measured say nothing of it.
    """
    if record.suffix != ".json":
        return None
    document = json.loads(record.read_text(encoding="utf-8"))
    sized = [c for c in document["contests"] if any(t["quantity"] == "ratio" for t in c["targets"])]
    if not sized:
        return None
    targets = [target for contest in sized for target in contest["targets"] if target["quantity"] == "ratio"]
    worst, gpu = max(target["found"] for target in targets), document["provenance"]["machine"]["gpu"]
    ours = f"executor `one`: at most {worst:.2f} of the hungriest child trained by itself"
    verdict = f"{HOLDS if all(target['reached'] for target in targets) else FAILS} with executor `one`"
    automatic = [row for c in sized for row in c.get("rows", ()) if row["contender"].startswith("auto ")]
    if automatic:
        most, limit = max(automatic, key=lambda row: float(row["ratio"])), targets[0]["target"]
        ours += f"; executor `auto`: at most {most['ratio']:.2f} ({most['contender']})"
        verdict += f", {HOLDS if most['ratio'] <= limit else FAILS} with `auto`"
    return Evidence(ours, gpu["name"] if gpu else "bytes of tensors, CPU", verdict if gpu else verdict + REDUCED)


def transfer(record: Path, claim: Claim) -> Evidence | None:
    """π learnt on the large network from uniform, against π fine-tuned there, at equal cost."""
    words = "error from uniform − error fine-tuned:"
    return _difference(record, {"method": "direct", "stage": "finetune"}, "top1_error", 1, words)


def random(record: Path, claim: Claim) -> Evidence | None:
    """Random search against PARSEC: test errors of retraining, or accuracies that were looked up."""
    errors = _difference(record, {"method": "random"}, "top1_error", 1, "error of random search − PARSEC:")
    return errors or _difference(
        record, {"method": "random"}, "test_cifar10", -1, "accuracy of random search − PARSEC:"
    )


def _difference(record: Path, find: Mapping[str, str], outcome: str, better: int, words: str) -> Evidence | None:
    """A row of the table of methods against PARSEC, paired by seed; `better` is the sign that speaks for PARSEC."""
    table, name = numbers(record, "comparison"), f"{outcome}_difference"
    if f"{name}_mean" not in table:
        return None
    rows = table[(table[list(find)] == pd.Series(find)).all(axis=1)].dropna(subset=f"{name}_mean")
    if rows.empty:
        return None
    row = rows.iloc[0]
    verdict = judged(row[f"{name}_low"], row[f"{name}_high"], better)
    ours = f"{words} {interval(row, name)} points, {row[f'{name}_n']:.0f} pairs"
    return Evidence(ours, title(record), verdict + REDUCED)


def collapse(record: Path, claim: Claim) -> Evidence | None:
    """What PARSEC found on NAS-Bench-201 against the mean of the space."""
    table = numbers(record, "comparison")
    if "test_cifar10_mean" not in table:
        return None
    row = table.set_index("method").loc["parsec"]
    mean = json.loads((record / "lookup" / "nasbench201.json").read_text(encoding="utf-8"))["mean"]["cifar10"]
    skips = "" if pd.isna(row["skip_share"]) else f"; {100 * row['skip_share']:.0f} % skip connections"
    accuracy = with_std(row["test_cifar10_mean"], row["test_cifar10_std"])
    accuracy += ends(row["test_cifar10_low"], row["test_cifar10_high"])
    ours = f"{accuracy} against {mean:.2f} % of a random architecture{skips}; n = {_counted(row['runs'], 'search')}"
    verdict = judged(row["test_cifar10_low"] - mean, row["test_cifar10_high"] - mean, 1)
    return Evidence(ours, title(record), verdict + REDUCED)
