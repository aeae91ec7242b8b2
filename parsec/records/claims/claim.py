"""A claim, what a record shows of it, and how numbers become a verdict."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import yaml

from parsec.errors import UserError
from parsec.records.statistics import difference_text

HOLDS, FAILS, OPEN = "holds", "does not hold", "not told apart"
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
    """`2.86 ± 0.06 %`; the mean alone where there is no deviation."""
    return f"{mean:.2f}{unit}" if pd.isna(std) else f"{mean:.2f} ± {std:.2f}{unit}"


def interval(row: "pd.Series[Any]", name: str) -> str:
    """A mean with its 95 % interval."""
    return difference_text(row[f"{name}_mean"], row[f"{name}_low"], row[f"{name}_high"])


def judged(low: float, high: float, better: int) -> str:
    """Whether an interval lies on the better side of zero, on the other, or on both."""
    if pd.isna(low) or low <= 0.0 <= high:
        return OPEN
    return HOLDS if (low > 0) == (better > 0) else FAILS
