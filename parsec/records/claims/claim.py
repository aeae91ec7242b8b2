"""A claim, what a record shows of it, and how numbers become a verdict."""

import csv
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from parsec.errors import UserError
from parsec.stats import difference_text

HOLDS, FAILS, OPEN = "holds", "does not hold", "no significant difference"
IN_PART, CLOSE, SINGLE = "holds in part", "close, but differs significantly", "one run, no interval"
REDUCED = " at reduced scale"
CLAIMS = Path(__file__).parents[3] / "config" / "published" / "claims.csv"


class Claim(NamedTuple):
    """A row of `claims.csv`."""

    claim: str
    """Its short name."""
    group: str
    text: str
    published: str
    """As it is printed."""
    value: str
    """The published number that a verdict compares with, if there is one."""
    deviation: str
    """Sample standard deviation of the published number, if it is stated, over `runs`."""
    runs: str
    margin: str
    """How far from `value` a measurement may be and still reproduce it, in its unit."""
    certainty: str
    source: str
    open: str
    """How the runs that would answer it begin in the list of open runs."""


class Evidence(NamedTuple):
    """What one record shows of one claim."""

    ours: str
    scale: str
    verdict: str


Reader = Callable[[Path, Claim], Evidence | None]
"""From a record and a claim to what it shows; None if it has no such file, or says nothing of the claim."""


def read_claims(path: Path = CLAIMS) -> list[Claim]:
    """All claims, in their order.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [Claim(**row) for row in csv.DictReader(file)]
    except (OSError, TypeError) as error:
        raise UserError(f"{path}: not the list of claims ({error}); restore it from git") from error


def numbers(record: Path, name: str) -> pd.DataFrame:
    """Numbers of a table; empty if the record has none of that name."""
    path = record / "tables" / f"{name}.csv"
    try:
        return pd.read_csv(path) if path.is_file() else pd.DataFrame()
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not a table of numbers ({error}); restore the record from git") from error


def title(record: Path) -> str:
    """What the settings of a record call it."""
    settings: dict[str, Any] = yaml.safe_load((record / "settings.yaml").read_text(encoding="utf-8"))
    return str(settings["name"])


def with_std(mean: float, std: float, unit: str = " %") -> str:
    """`2.86 ± 0.06 %`, with the sample standard deviation; only the mean where there is none."""
    return f"{mean:.2f}{unit}" if pd.isna(std) else f"{mean:.2f} ± {std:.2f}{unit}"


def ends(low: float, high: float) -> str:
    """` [2.80, 2.92]` behind a mean; nothing where there is no interval."""
    return "" if pd.isna(low) else f" [{low:.2f}, {high:.2f}]".replace("-", "−")


def interval(row: "pd.Series[Any]", name: str) -> str:
    """A mean with its 95 % interval."""
    return difference_text(row[f"{name}_mean"], row[f"{name}_low"], row[f"{name}_high"])


def judged(low: float, high: float, better: int) -> str:
    """Whether an interval lies on the better side of zero, on the other, or on both."""
    if pd.isna(low):
        return SINGLE
    if low <= 0.0 <= high:
        return OPEN
    return HOLDS if (low > 0) == (better > 0) else FAILS


def reproduced(low: float, high: float, value: float, margin: float, better: int) -> str:
    """Whether a mean with this 95 % interval is as good as a published value, within a margin.

    It is if even the bad end of the interval is, and it is not if even the good end is not. In between the measurement
    decides nothing about the margin, but the interval may exclude the value itself.

    Args:
        low: lower end.
        high: upper end.
        value: published.
        margin: largest difference that still counts as reproduced.
        better: −1 where less is better, 1 where more is, 0 where only the value itself is right.
    """
    if pd.isna(low):
        return SINGLE
    worse = {-1: (low - value, high - value), 1: (value - high, value - low)}
    # How far the ends are from the value on the bad side: the good end first.
    nearest, farthest = worse[better] if better else (max(low - value, value - high), max(high - value, value - low))
    if farthest <= margin:
        return HOLDS
    if nearest > margin:
        return FAILS
    return CLOSE if nearest > 0 else OPEN


def together(verdicts: Collection[str]) -> str:
    """Verdict on a claim from those of the comparisons that test it."""
    found = set(verdicts)
    if found == {HOLDS}:
        return HOLDS
    if found & {HOLDS, IN_PART}:
        return IN_PART
    return FAILS if FAILS in found else OPEN
