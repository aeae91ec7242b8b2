"""What records show of the claims of NASWOT and of predictor-based NAS with efficient sampling."""

import math
from pathlib import Path
from typing import Any

import pandas as pd

from parsec.records.claims.claim import (
    FAILS,
    HOLDS,
    OPEN,
    REDUCED,
    Claim,
    Evidence,
    judged,
    numbers,
    reproduced,
    together,
    with_std,
)
from parsec.stats import Estimate, difference_interval, difference_text

FULL = "full: the benchmark's own networks"
REPLAYED = "full: replayed on the table"
ONE_DRAW = "one weight draw"
CELLS_OF_NASBENCH101 = 423_624
BY_SCORE = "DARTS space, a score in the place of accuracy"
WORDS = {
    "predictor-all": "scoring the whole space trains fewer",
    "predictor-uniform": "trains more than the whole space",
    "predictor-smart": "recovers what|trains fewer than uniform",
}
"""What tells the rows of a claim in the table of the predictor's claims."""
KENDALL = {
    "kendall": ("cifar10", "CIFAR-10", "half", 15.0),
    "kendall-cifar100": ("cifar100", "CIFAR-100", "all", 0.0),
    "kendall-in16": ("in16", "ImageNet16-120", "all", 0.0),
}
"""Of a claim: whose images the paper scores on, whose accuracy, of networks trained on which images, above what."""


def kendall(record: Path, claim: Claim) -> Evidence | None:
    """τ of the ICML score on NAS-Bench-201 by the paper's protocol, or the nearest to it that the record has."""
    images, label, trained, above = KENDALL[claim.claim]
    table = numbers(record, "naswot-correlation")
    if table.empty:
        return None
    protocol = (table["trained_on"] == trained) & (table["above"] == above)
    of_data = table["accuracy"].str.startswith(f"{label} ")
    rows = table[(table["score"] == "relu_log_determinant") & protocol & of_data]
    if rows.empty:
        return None
    # Validation accuracy before test accuracy, and scores on images of the same data set before others.
    nearest = rows.assign(test=rows["accuracy"].str.endswith("test"), other=rows["dataset"] != images)
    row = nearest.sort_values(["other", "test"], kind="stable").iloc[0]
    return _correlated(row, claim, f"{row['accuracy']} accuracy, scored on images of {row['dataset']}", FULL)


def kendall101(record: Path, claim: Claim) -> Evidence | None:
    """τ of the ICML score on NAS-Bench-101, or the part of it that the record's table had."""
    table = numbers(record, "naswot-correlation-nasbench101")
    if table.empty:
        return None
    rows = table.query("score == 'relu_log_determinant'")
    if rows.empty:
        return None
    row = rows.iloc[0]
    cells = int(row["architectures"])
    whole = cells >= CELLS_OF_NASBENCH101
    scale = FULL if whole else f"a table of {cells} of the benchmark's {CELLS_OF_NASBENCH101:,} cells"
    found = _correlated(row, claim, f"validation accuracy, scored on images of {row['dataset']}", scale)
    return found if whole else found._replace(verdict=found.verdict + REDUCED)


def _correlated(row: "pd.Series[Any]", claim: Claim, protocol: str, scale: str) -> Evidence:
    ours = f"{row['tau']:.3f} [{row['low']:.3f}, {row['high']:.3f}], {row['n']:.0f} architectures; {protocol}"
    return Evidence(ours, scale, reproduced(row["low"], row["high"], float(claim.value), float(claim.margin), 0))


def searched(record: Path, claim: Claim) -> Evidence | None:
    """The mean of NASWOT's search against the published mean, by the standard error of their difference."""
    table = numbers(record, "naswot-search")
    if table.empty:
        return None
    rows = table.query(
        "score == 'relu_log_determinant' and method == 'NASWOT' and reached_on == 'cifar10' and split == 'test'"
        f" and candidates == {claim.claim.removeprefix('search-')}"
    )
    if rows.empty:
        return None
    row, runs = rows.iloc[0], int(claim.runs)
    # Records from before there could be several draws of weights have one.
    draws = int(row.get("draws", 1))
    measured = Estimate.from_interval(row["low"], row["high"], int(row["n"]) if draws == 1 else draws)
    published = Estimate(float(claim.value), float(claim.deviation) / math.sqrt(runs), runs - 1)
    low, high = difference_interval(measured, published)
    verdict = reproduced(low, high, 0.0, float(claim.margin), 0)
    rests = ONE_DRAW if draws == 1 else f"{draws} weight draws"
    apart = difference_text(measured.mean - published.mean, low, high)
    ours = f"{with_std(row['mean'], row['std'])}, {row['n']:.0f} repeats on {rests}; ours − published: {apart} points"
    return Evidence(ours, FULL, f"{verdict}, on {ONE_DRAW}" if draws == 1 else verdict)


def assisted(record: Path, claim: Claim) -> Evidence | None:
    """Difference of assisted and of plain evolution, at every budget of the table."""
    table = numbers(record, "naswot-evolution")
    if table.empty:
        return None
    rows = table.query("test_of == 'cifar10' and searched_on == 'cifar10'").set_index(["method", "spent"])
    if not {"assisted_evolution", "evolution"} <= set(rows.index.unique("method")):
        return None
    helped, plain = rows.loc["assisted_evolution"], rows.loc["evolution"]
    parts, verdicts = list[str](), list[str]()
    for spent in helped.index:
        means = [Estimate.from_interval(*found.loc[spent, ["low", "high", "n"]]) for found in (helped, plain)]
        ends = difference_interval(*means)
        apart = difference_text(helped["mean"][spent] - plain["mean"][spent], *ends)
        parts.append(f"{spent:.0f} trainings: {helped['mean'][spent]:.2f} − {plain['mean'][spent]:.2f} = {apart}")
        verdicts.append(judged(*ends, 1))
    ours = f"test accuracy (%) after {'; '.join(parts)}; {helped['n'].iloc[0]:.0f} repeats on {ONE_DRAW}"
    return Evidence(ours, REPLAYED, f"{together(verdicts)}, on {ONE_DRAW}")


def predictor(record: Path, claim: Claim) -> Evidence | None:
    """How often the claim holds over problems, qualities and pools."""
    table = numbers(record, "predictor-claims")
    if table.empty:
        return None
    rows = table[table["claim"].str.contains(WORDS[claim.claim])].drop_duplicates(["problem", "quality", "claim"])
    if rows.empty:
        return None
    held = rows["verdict"].eq(HOLDS)
    parts = [f"on {name} {held[found.index].sum()} of {len(found)}" for name, found in rows.groupby("problem")]
    scale = BY_SCORE if rows["problem"].eq("darts").any() else REPLAYED
    ours = f"qualities and pools for which it holds, each unadjusted: {', '.join(parts)}"
    return Evidence(ours, scale, together([_read(verdict) for verdict in rows["verdict"]]))


def _read(verdict: str) -> str:
    """A verdict of the table of the predictor's claims, also as older records word it."""
    if verdict.endswith("not told apart"):
        return OPEN
    return FAILS if verdict.startswith(FAILS) else verdict
